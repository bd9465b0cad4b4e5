"""Products of neighbouring bucket returns: the stored statistics `ret_bv` and `ret_ac{j}` of family H."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def return_products(bucket: Int64Array, log_ret: Float64Array, start: int, lags: int) -> dict[str, Float64Array]:
    """Products of each return from row `start` on with those of exactly 1 … `lags` buckets before.

    Formula: ret_bv = |r_k| |r_{k−1}|; ret_ac{j} = r_k r_{k−j}; a return that is absent or null counts as 0.
    Inputs:  ascending bucket indices and bucket returns, shape (n,).
    Null:    where the row's own return is.
    """
    own = log_ret[start:]
    products: dict[str, Float64Array] = {}
    for lag in range(1, lags + 1):
        wanted = bucket[start:] - lag
        at = np.searchsorted(bucket, wanted)
        earlier = np.where(bucket[at] == wanted, log_ret[at], 0.0)
        earlier[np.isnan(earlier)] = 0.0
        if lag == 1:
            products["ret_bv"] = np.abs(own) * np.abs(earlier)
        products[f"ret_ac{lag}"] = own * earlier
    return products
