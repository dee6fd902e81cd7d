"""The smallest model with every part of Chatterbox, at a width that tests and first tries can afford."""

from engines.model import (
    EncoderConfig,
    EstimatorConfig,
    ModelConfig,
    SpeechTokenizerConfig,
    T3Config,
    VocoderConfig,
    VoiceEncoderConfig,
    XVectorConfig,
)

TINY = ModelConfig(
    name="tiny",
    t3_file="t3_tiny.safetensors",
    t3=T3Config(width=64, layers=2, heads=4, text_codes=400, positions=1_024, prompt_tokens=24),
    encoder=EncoderConfig(width=64, heads=4, feed_forward=128, layers=2, up_layers=1),
    estimator=EstimatorConfig(channels=32, heads=2, head_width=16, transformers=1, mid_blocks=2),
    vocoder=VocoderConfig(channels=64, f0_channels=32),
    xvector=XVectorConfig(channels=8, growth=8, first_channels=32, layers=(2, 2, 2)),
    speech_tokenizer=SpeechTokenizerConfig(width=64, heads=4, layers=2),
    voice_encoder=VoiceEncoderConfig(hidden=32, layers=2),
)
"""Two million numbers: it speaks noise, by all the rules."""
