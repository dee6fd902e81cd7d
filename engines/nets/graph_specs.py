"""Every graph's signature, by name: those of engines.backends.signature, with the prompt cache filled in."""

from engines.backends import signature
from engines.backends.signature import GraphSpec
from engines.model import ModelConfig
from engines.nets.s3_graphs import prompt_cache_spec


def graph_specs(model: ModelConfig) -> dict[str, GraphSpec]:
    """In the order in which speech needs them."""
    cache = prompt_cache_spec(model)
    specs = (
        signature.t3_step(model),
        signature.s3_chunk(model),
        signature.s3_prompt(model, cache),
        signature.s3_cached_chunk(model, cache),
        signature.voice_xvector(model),
        signature.voice_codes(model),
        signature.voice_speaker(model),
    )
    return {spec.name: spec for spec in specs}
