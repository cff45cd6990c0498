"""Model classes whose code is in the model's folder.

`AutoModel` would keep the class that it loaded first for a configuration class, and load another folder's
weights into it even if that folder has other code.
"""

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.dynamic_module_utils import get_class_from_dynamic_module


def own_class(kind: Any, config: PreTrainedConfig, folder: Path) -> type[PreTrainedModel] | None:
    """The class in the folder's code for an `Auto...` class; None if the class is part of transformers.

    Args:
        config: The configuration, read with the folder's code.

    Raises:
        ValueError: neither the folder nor transformers has such a class of this model.
    """
    named = _auto_map(config).get(kind.__name__)
    if named is not None:
        found: type[PreTrainedModel] = get_class_from_dynamic_module(named, str(folder))
        found.register_for_auto_class(kind.__name__)  # So that saved models include their code.
        return found
    if type(config) not in kind._model_mapping:
        raise ValueError(
            f"auto_map in {folder / 'config.json'} names no {kind.__name__}, by which the model is loaded"
        )
    return None


def has_own_class(kind: Any, encoder: PreTrainedModel) -> bool:
    """Whether the encoder's own code has such a class."""
    return encoder.is_remote_code() and kind.__name__ in _auto_map(encoder.config)


def _auto_map(config: PreTrainedConfig) -> dict[str, str]:
    return getattr(config, "auto_map", None) or {}
