"""Tiny encoders of many families with random weights, and how each is documented."""

import re
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, PreTrainedModel

from layerscope.jobs.specs.encoders import EncoderFacts
from tests.jobs.tiny import VOCABULARY, write_tokenizer

SHAPE = {
    "vocab_size": VOCABULARY + 8,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
GROUPED = {"num_key_value_heads": 2, "head_dim": 16}
RELATIVE = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
ROWS = VOCABULARY + 8
"""Of the table of tokens: some classes of tokenizers add special tokens of their own."""
OWN_NAMES = {
    "ctrl": {"n_embd": 32, "n_layer": 3, "n_head": 2, "dff": 48, "n_positions": 64},
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 64},
    "flaubert": {"emb_dim": 32, "n_layers": 3, "n_heads": 2, "max_position_embeddings": 64, "pad_index": 0},
    "funnel": {"block_sizes": [1, 1, 1], "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 48},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64},
    "gpt_neo": {
        "hidden_size": 32,
        "num_layers": 4,
        "num_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 8,
    },
    "mpt": {"d_model": 32, "n_heads": 2, "n_layers": 3, "max_seq_len": 64, "expansion_ratio": 2},
    "openai-gpt": {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 64},
    "t5": {"d_model": 32, "d_kv": 16, "d_ff": 48, "num_layers": 3, "num_heads": 2},
    "xglm": {"d_model": 32, "num_layers": 3, "attention_heads": 2, "ffn_dim": 48},
    "xlm": {"emb_dim": 32, "n_layers": 3, "n_heads": 2, "max_position_embeddings": 64, "pad_index": 0},
    "xlnet": {"d_model": 32, "n_layer": 3, "n_head": 2, "d_inner": 48},
}
"""Families whose configurations have names of their own for the same shape."""
MORE = {
    "albert": {"embedding_size": 16},
    "bart": {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
    "big_bird": {"attention_type": "original_full"},
    "canine": {"local_transformer_stride": 16},
    "convbert": {"embedding_size": 32},
    "deberta": RELATIVE,
    "deberta-v2": RELATIVE
    | {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "conv_kernel_size": 3},
    "electra": {"embedding_size": 16},
    "esm": {"position_embedding_type": "rotary", "token_dropout": False, "mask_token_id": 4},
    "gptj": {"rotary_dim": 8},
    "ibert": {},
    "lfm2": GROUPED | {"layer_types": ["conv", "full_attention", "conv"]},
    "longformer": {"attention_window": [8, 8, 8]},
    "luke": {"entity_vocab_size": 5, "entity_emb_size": 8},
    "mixtral": GROUPED | {"num_local_experts": 2},
    "mobilebert": {
        "embedding_size": 32,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 1,
        "true_hidden_size": 16,
    },
    "modernbert": {
        "global_attn_every_n_layers": 3,
        "local_attention": 8,
        "cls_token_id": 2,
        "sep_token_id": 3,
    },
    "qwen2_moe": GROUPED | {"num_experts": 2, "num_experts_per_tok": 1},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "rembert": {"input_embedding_size": 32, "output_embedding_size": 32},
    "roformer": {"embedding_size": 32},
    "squeezebert": {
        "embedding_size": 32,
        "q_groups": 1,
        "k_groups": 1,
        "v_groups": 1,
        "post_attention_groups": 1,
        "intermediate_groups": 1,
        "output_groups": 1,
    },
    "xmod": {"languages": ["en_XX"], "default_language": "en_XX", "pre_norm": True},
    "yoso": {"use_expectation": True},
} | dict.fromkeys(
    [
        "arcee",
        "cohere",
        "ernie4_5",
        "gemma",
        "gemma2",
        "gemma3_text",
        "glm",
        "granite",
        "helium",
        "llama",
        "mistral",
        "nemotron",
        "olmo",
        "olmo2",
        "olmoe",
        "phi3",
        "qwen2",
        "qwen3",
        "smollm3",
        "stablelm",
        "starcoder2",
    ],
    GROUPED,
)
PLAIN = [
    "bart",
    "bert",
    "bert-generation",
    "biogpt",
    "bloom",
    "camembert",
    "clip_text_model",
    "data2vec-text",
    "ernie",
    "eurobert",
    "falcon",
    "fnet",
    "gpt_bigcode",
    "gpt_neox",
    "jina_embeddings_v3",
    "layoutlm",
    "mamba",
    "markuplm",
    "megatron-bert",
    "mpnet",
    "mra",
    "nomic_bert",
    "persimmon",
    "phi",
    "roberta",
    "roberta-prelayernorm",
    "roc_bert",
    "splinter",
    "tapas",
    "xlm-roberta",
    "xlm-roberta-xl",
]
FAMILIES = tuple(sorted({*OWN_NAMES, *MORE, *PLAIN}))
DOCUMENT = Path(__file__).parents[2] / "docs" / "encoders.md"


def make_family(kind: str, **fields: object) -> PreTrainedModel:
    """A bare encoder of a family; its weights are large enough for every part to matter."""
    shape = OWN_NAMES[kind] if kind in OWN_NAMES else SHAPE | MORE.get(kind, {})
    config = AutoConfig.for_model(kind, **{"pad_token_id": 0, "vocab_size": ROWS} | shape | fields)
    if config.architectures is None:
        config.architectures = []
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config).eval()
    for parameter in encoder.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    _empty_padding(encoder)
    return encoder


def _empty_padding(encoder: PreTrainedModel) -> None:
    """The padding token's embedding is 0, as it is drawn and stays in training."""
    for module in encoder.modules():
        if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()


def write_family(folder: Path, kind: str, **fields: object) -> Path:
    """A folder with such an encoder and a tokenizer."""
    folder.mkdir(parents=True)
    make_family(kind, **fields).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def row_of_facts(kind: str, facts: EncoderFacts) -> str:
    """The line of a family in the table of the documents."""
    marks = [
        "causal" if facts.is_causal else "bidirectional",
        "shared" if facts.shares_layers else "apart",
        ", ".join(f"`{name}`" for name in facts.above) or "-",
        "ends" if facts.positions is not None else "no end",
        "yes" if facts.has_pooler else "-",
        "yes" if facts.has_masked_head and not facts.is_causal else "-",
        "yes" if any("pooler" not in name.split(".") for name in facts.unread) else "-",
    ]
    return f"| `{kind}` | {' | '.join(marks)} |"


def row_of_refusal(kind: str, message: str) -> str:
    """The line of a family that is refused."""
    reason = re.sub(r"\s+", " ", message).partition(": ")[0].partition(", so")[0]
    return f"| `{kind}` | {reason} |"


def documented() -> dict[str, str]:
    """The lines of both tables by family."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return {found[1]: line for line in lines if (found := re.match(r"\| `([^`]+)` \|", line))}
