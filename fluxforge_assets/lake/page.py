"""The reference page of the datasets, written from their schemas and columns."""

from __future__ import annotations

from collections.abc import Sequence

from fluxforge_assets.lake.datasets import DATASETS, GOLD_BARS, SILVER_ORDERBOOK, Dataset
from fluxforge_assets.tables import Column
from fluxforge_collector.config.features import FeatureOptions
from fluxforge_collector.records import Channel
from fluxforge_collector.schemas import BRONZE

_INTRODUCTION = """# Datasets

Written by `make docs` from the schemas and the declared columns, for the default options.

Everything is Parquet under `lake.root` and opens with polars, pyarrow, DuckDB or Spark; half-written files are never
visible. `{source}` says which collector family brought the data, such as `ccxt`. Processed datasets are partitioned
hive-style, `exchange=…/symbol=…/date=…/`, and carry the same values in their columns. `symbol` there is path-safe:
`BTC/USDT:USDT` is `BTC-USDT_USDT`. Bronze keeps ccxt's spelling.

A part `part-{from}-{to}-{digest}.parquet` holds the rows of the half-open range `[from, to)` in microseconds since the
epoch. Ranges of a partition never overlap. Its footer says how it was made, under the key `fluxforge`: fingerprint of
the configuration, watermark, segments or parts used. When a partition is replaced, old files give way to new ones in
one step; a reader that had listed the old ones gets "no such file" and lists again.

Times: `ts` is microseconds since the epoch, UTC. In silver order books and bars it is the *end* of the bucket or bar,
the first instant at which the row may be known; in trades and tickers it is when the collector received them.
"""


def datasets_page() -> str:
    """The page, as Markdown."""
    lines = [_INTRODUCTION]
    for channel in (Channel.ORDERBOOK, Channel.TRADES, Channel.TICKER, Channel.GAPS, Channel.FRAMES):
        lines += [
            f"## bronze/{channel}\n",
            f"`raw/archive/{{source}}/{channel}/date=YYYY-MM-DD/segment_{{id}}.parquet` (legacy: `.ndjson.zst`)\n",
            "| column | type | null |\n|---|---|---|",
        ]
        lines += [f"| `{f.name}` | {_type(f.type)} | {'yes' if f.nullable else 'never'} |" for f in BRONZE[channel]]
        lines.append("")
    for dataset in DATASETS:
        lines += _processed(dataset)
    return "\n".join(lines)


def _type(dtype: object) -> str:
    text = str(dtype).replace("dictionary<values=string, indices=int32, ordered=0>", "string (dictionary)")
    return text.replace("|", "/").replace("<", "‹").replace(">", "›")


def _processed(dataset: Dataset) -> list[str]:
    columns = dataset.columns(FeatureOptions())
    lines = [
        f"## {dataset.asset}\n",
        dataset.description + "\n",
        (
            f"`processed/{{source}}/{dataset.folder}/exchange=…/symbol=…/date=…/part-*.parquet`, key within a"
            f" partition: {', '.join(f'`{name}`' for name in dataset.key)}\n"
        ),
    ]
    if dataset in {SILVER_ORDERBOOK, GOLD_BARS}:
        keys = [c for c in columns if c.kind.value == "key"]
        return [
            *lines,
            *_table(keys),
            (
                f"\nand {len(columns) - len(keys)} columns of the [catalogue](features.md) under the default options;"
                " `fluxforge features` lists those of yours.\n"
            ),
        ]
    return [*lines, *_table(columns), ""]


def _table(columns: Sequence[Column]) -> list[str]:
    rows = [f"| `{c.name}` | {c.dtype} | {c.unit} | {c.null} | {_meaning(c)} |" for c in columns]
    return ["| column | type | unit | null | meaning |\n|---|---|---|---|---|", *rows]


def _meaning(column: Column) -> str:
    return " ".join(filter(None, (column.description, f"= {column.formula}" if column.formula else ""))).replace(
        "|", "/"
    )
