"""The pocket model's numbers: Chatterbox's architecture, small enough to be shipped with the program."""

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
from engines.sampling import Sampling

DIGITS = 6
CODES = 3**DIGITS
TEXT_CODES = 512

POCKET = ModelConfig(
    name="pocket",
    t3_file="t3_pocket.safetensors",
    t3=T3Config(
        width=256,
        layers=6,
        heads=4,
        text_codes=TEXT_CODES,
        speech_codes=CODES + 2,
        positions=640,
        prompt_tokens=25,
        speaker_width=64,
    ),
    codes=CODES,
    silence_code=0,
    s3_prompt_tokens=75,
    sampling=Sampling(temperature=0.2, top_k=50, top_p=0.9, repetition_penalty=1.0),
    prompt_cache=True,
    encoder=EncoderConfig(width=160, heads=4, feed_forward=384, layers=2, up_layers=1),
    estimator=EstimatorConfig(channels=168, heads=2, head_width=64, transformers=1, mid_blocks=1),
    vocoder=VocoderConfig(
        channels=128,
        harmonics=0,  # one sine, whose phase is the pulses: more, each with a phase of its own, taught less
        resblock_kernels=(3, 7),
        resblock_dilations=(1, 3),
        source_kernels=(7, 7, 11),
        f0_channels=128,
    ),
    xvector=XVectorConfig(channels=8, growth=8, first_channels=32, layers=(2, 2, 2), width=64),
    speech_tokenizer=SpeechTokenizerConfig(width=160, heads=4, layers=2, fsmn_kernel=11, digits=DIGITS),
    voice_encoder=VoiceEncoderConfig(hidden=64, layers=2, width=64),
)
