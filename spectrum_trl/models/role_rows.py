"""Copy role tokens from an instruct model, reading no more than their rows of its files."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedTokenizerBase
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from spectrum_trl.errors import UserError, refuse
from spectrum_trl.files import check_new_folder, new_folder, write_json, writing
from spectrum_trl.models.load import (
    is_adapter,
    load_config,
    load_tokenizer,
    model_path,
    model_without_memory,
)
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.families import families
from spectrum_trl.strict.json import read_json

# Beside the weights: configuration, tokenizer, templates, terms.
BESIDE = ("*.json", "*.jinja", "*.model", "*.txt", "*.md", "LICENSE*", "NOTICE*")
RECORD = "role_tokens.json"


def role_token_ids(tokenizer: PreTrainedTokenizerBase, *, family: str) -> list[int]:
    """Return the ids of a family's turn tokens in order, such as ``<|im_start|>`` and ``<|im_end|>``."""
    turn = tokenizer.apply_chat_template(
        [{"role": "output", "content": ""}], tokenize=True, return_dict=False
    )
    control = set(cast(list[int], tokenizer.convert_tokens_to_ids(list(families()[family].turn_tokens))))
    return list(dict.fromkeys(token for token in cast(list[int], turn) if token in control))


class Matrix(NamedTuple):
    """A weight matrix in a safetensors file."""

    file: Path
    key: str

    def rows(self, ids: list[int]) -> torch.Tensor:
        """Read rows, shaped ``(len(ids), width)``."""
        with safe_open(self.file, "pt") as tensors:
            matrix = tensors.get_slice(self.key)
            return torch.cat([matrix[row : row + 1] for row in ids])

    def write(self, rows: torch.Tensor, *, ids: list[int]) -> None:
        """Replace rows in the file, in its number type, and leave every other byte as it is."""
        with open(self.file, "r+b") as file:
            length = int.from_bytes(file.read(8), "little")
            start = 8 + length + json.loads(file.read(length))[self.key]["data_offsets"][0]
            for row, values in zip(ids, rows.to(self.rows(ids[:1]).dtype), strict=True):
                raw = values.contiguous().view(torch.uint8).numpy().tobytes()
                file.seek(start + row * len(raw))
                file.write(raw)


def embedding_matrices(name: str, *, revision: str = "main") -> list[Matrix]:
    """Return the embedding and, if it has its own weights, the output layer of a folder or repository.

    Raises:
        UserError: If there are no safetensors with an embedding.
    """
    model = model_without_memory(name, revision=revision)
    layers = {id(module): layer for layer, module in model.named_modules()}
    found = []
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        # Files may hold it under another prefix than the class has.
        ending = f"{layers[id(layer)].rpartition('.')[2]}.weight"
        if matrix := _matrix(name, ending, revision=revision):
            found.append(matrix)
        elif not found:
            raise UserError(f"{name!r} has no safetensors with a matrix {ending}; save it as safetensors")
    return found


def _matrix(name: str, ending: str, *, revision: str) -> Matrix | None:
    def path_of(file: str) -> Path | None:
        found = cached_file(
            model_path(name), file, revision=revision, _raise_exceptions_for_missing_entries=False
        )
        return Path(found) if found else None

    index, single = path_of(SAFE_WEIGHTS_INDEX_NAME), path_of(SAFE_WEIGHTS_NAME)
    try:
        if index:
            files = read_json(index)["weight_map"]
        elif single:
            with safe_open(single, "pt") as tensors:
                files = dict.fromkeys(tensors.keys(), SAFE_WEIGHTS_NAME)
        else:
            return None
        key = next((key for key in files if f".{key}".endswith(f".{ending}")), None)
        file = path_of(files[key]) if key else None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise UserError(f"the weights of {name!r} cannot be read: {error}; copy them again") from error
    return Matrix(file, str(key)) if file else None


def sibling_rows(
    sibling: str, *, tokens: list[str], revision: str = "main", key: str = "copy_role_tokens_from"
) -> list[torch.Tensor]:
    """Read the rows of tokens from the embedding and the output layer of a model, which may be one matrix.

    Raises:
        UserError: If it cannot be read, or lacks a token.
    """
    vocabulary = load_tokenizer(sibling, revision=revision).get_vocab()
    if absent := [token for token in tokens if token not in vocabulary]:
        raise UserError(f"{key}: {sibling} has no token {', '.join(absent)}")
    matrices = embedding_matrices(sibling, revision=revision)
    ids = [vocabulary[token] for token in tokens]
    return [matrices[0].rows(ids), matrices[-1].rows(ids)]


def check_shared_rows(rows: list[torch.Tensor], *, sibling: str, key: str = "copy_role_tokens_from") -> None:
    """Check that one matrix of a tied model can hold what a sibling has in two.

    Raises:
        UserError: If not.
    """
    if not torch.equal(*rows):
        raise UserError(
            f"{key}: the output layer and the embedding of {sibling} differ, but are one matrix in the "
            "model; name a sibling whose layers are tied too"
        )


def transfer(base: str, instruct: str, out: Path, *, revision: str = "main") -> list[str]:
    """Write a base model's folder with the role tokens' rows of its instruct sibling.

    Only those rows are read and changed, so no model is in memory. Where the base model has one matrix for
    embedding and output layer, so must the sibling.

    Args:
        base: Folder or Hub id of the base model.
        instruct: Folder or Hub id of the sibling.
        out: The folder to write; must be empty or not exist.
        revision: Revision of the base model's repository.

    Returns:
        The tokens whose rows were copied.

    Raises:
        UserError: If the two do not belong together, cannot be read, or ``out`` is in use.
    """
    check_new_folder(out)
    if is_adapter(base, revision=revision):
        raise UserError(f"BASE: {base} is an adapter; merge it first: spectrum-trl merge {base} FOLDER")
    tokenizer = load_tokenizer(base, revision=revision)
    family = templates.install(tokenizer)
    ids = role_token_ids(tokenizer, family=family)
    tokens = list(tokenizer.convert_ids_to_tokens(ids))
    refuse(_differences(tokenizer, load_tokenizer(instruct), instruct=instruct))
    rows = sibling_rows(instruct, tokens=tokens, key="INSTRUCT")
    matrices = embedding_matrices(base, revision=revision)
    widths = matrices[0].rows(ids[:1]).shape[1], rows[0].shape[1]
    if widths[0] != widths[1]:
        raise UserError(f"INSTRUCT: {instruct} has hidden size {widths[1]}, {base} has {widths[0]}")
    if len(matrices) == 1 or load_config(base, revision=revision).get_text_config().tie_word_embeddings:
        check_shared_rows(rows, sibling=instruct, key="INSTRUCT")
    with writing(out), new_folder(out) as folder:
        for file in _files_of(base, revision=revision):
            shutil.copyfile(file, folder / file.name)
        for matrix, values in zip(matrices, rows, strict=False):
            matrix._replace(file=folder / matrix.file.name).write(values, ids=ids)
        record: dict[str, Any] = {"base": base, "revision": revision, "instruct": instruct, "family": family}
        record["matrices"] = [matrix.key for matrix in matrices]
        record["tokens"] = dict(zip(tokens, ids, strict=True))
        write_json(record, folder / RECORD)
    return tokens


def _differences(
    tokenizer: PreTrainedTokenizerBase, other: PreTrainedTokenizerBase, *, instruct: str
) -> Iterator[str]:
    """Yield the first token that two vocabularies number differently, if there is one."""
    ours, theirs = tokenizer.get_vocab(), other.get_vocab()
    moved = [token for token, number in ours.items() if theirs.get(token, number) != number]
    if moved:
        yield (
            f"INSTRUCT: {instruct} gives other ids to {len(moved):,} tokens, for example {moved[0]!r}: it is "
            "no sibling of the base model; name the instruct model that was made from it"
        )


def _files_of(name: str, *, revision: str) -> list[Path]:
    """Return a model's files: weights as safetensors, and what lies beside them."""
    patterns = (*BESIDE, "*.safetensors")
    path = model_path(name)
    if not Path(path).is_dir():
        path = snapshot_download(path, revision=revision, allow_patterns=list(patterns))
    return sorted({file for pattern in patterns for file in Path(path).glob(pattern) if file.is_file()})
