"""Enrolling: a reference recording becomes a voice's conditioning, part by part as the reference does it.

S3Gen hears the first 10 s (mel, codes, x-vector), or as much as its model says, T3 the codes of the
first 15 s and the speaker of the whole recording; all after the recording is brought to one loudness.
"""

import numpy as np
from numpy.typing import NDArray

from engines.backends.runner import Runner
from engines.backends.signature import VOICE_CODES, VOICE_SPEAKER, VOICE_XVECTOR
from engines.contract import Samples
from engines.model import ModelConfig
from engines.rates import MEL_FRAMES_PER_TOKEN, SAMPLE_RATE_HZ, TOKEN_HZ, TOKEN_SAMPLES
from engines.voices.conditioning import Conditioning
from engines.voices.features import (
    HOP_16K_SAMPLES,
    RATE_16K_HZ,
    kaldi_fbank,
    log_mel_128,
    prompt_mel,
    voice_encoder_partials,
)
from engines.voices.loudness import normalise
from engines.voices.recording import Recording
from engines.voices.resample import sinc_24k_to_16k, to_16k

_T3_PROMPT_SAMPLES = 15 * RATE_16K_HZ
_FEATURE_FRAMES_PER_CODE = RATE_16K_HZ // HOP_16K_SAMPLES // TOKEN_HZ


class Enroller:
    """Makes voices with the three voice graphs of a runner. Safe to call from any one thread at a time."""

    def __init__(self, runner: Runner, model: ModelConfig) -> None:
        self._runner = runner
        self._t3_prompt_tokens = model.t3.prompt_tokens
        self._s3_prompt_samples = model.s3_prompt_tokens * TOKEN_SAMPLES

    def warm_up(self) -> None:
        """Run all three graphs once on a hum, so that the first recording finds them open."""
        hum_24k = (0.1 * np.sin(np.arange(2 * SAMPLE_RATE_HZ) / 25)).astype(np.float32)
        hum_16k = sinc_24k_to_16k(hum_24k)
        self._s3_prompt(hum_24k)
        self._speaker(hum_16k)

    def enroll(self, samples_24k: Samples) -> Conditioning:
        """A checked recording (n,) at 24 kHz -> its voice.

        Raises InvalidRequest (field `recording`) for a recording that makes no voice, and
        BackendUnavailable without soxr.
        """
        recording = Recording.check(samples_24k)
        level = normalise(recording.samples)
        level_16k = to_16k(level)
        mel, codes, embedding = self._s3_prompt(level[: self._s3_prompt_samples])
        return Conditioning(
            speaker=self._speaker(level_16k),
            t3_prompt=self._t3_prompt(level_16k[:_T3_PROMPT_SAMPLES]),
            s3_prompt=codes,
            s3_prompt_mel=mel,
            embedding=embedding,
            origin={
                "seconds": round(recording.seconds, 3),
                "loudness_lufs": round(recording.loudness_lufs, 2),
                "peak": round(recording.peak, 4),
            },
        )

    def _s3_prompt(
        self, samples_24k: Samples
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Mel, codes and x-vector of S3Gen's prompt, the mel cut to two frames for each code."""
        samples_16k = sinc_24k_to_16k(samples_24k)
        mel = prompt_mel(samples_24k)
        codes = self._codes(log_mel_128(samples_16k))
        codes = codes[: len(mel) // MEL_FRAMES_PER_TOKEN]
        fbank = kaldi_fbank(samples_16k)[None]
        embedding = self._runner.run(VOICE_XVECTOR, {"fbank": fbank})["embedding"][0]
        return mel[: len(codes) * MEL_FRAMES_PER_TOKEN], codes, embedding

    def _t3_prompt(self, samples_16k: Samples) -> NDArray[np.int64]:
        log_mel = log_mel_128(samples_16k)  # its scale is set by all of it, and only then is it cut
        return self._codes(log_mel[:, : self._t3_prompt_tokens * _FEATURE_FRAMES_PER_CODE])

    def _codes(self, log_mel: NDArray[np.float32]) -> NDArray[np.int64]:
        codes: NDArray[np.int64] = self._runner.run(VOICE_CODES, {"log_mel": log_mel[None]})["codes"][0]
        return codes

    def _speaker(self, samples_16k: Samples) -> NDArray[np.float32]:
        """The mean of the partials' unit vectors, made a unit vector again."""
        partials = voice_encoder_partials(samples_16k)
        mean = self._runner.run(VOICE_SPEAKER, {"partials": partials})["speakers"].mean(0)
        speaker: NDArray[np.float32] = mean / np.linalg.norm(mean)
        return speaker
