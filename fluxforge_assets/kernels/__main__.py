"""`python -m fluxforge_assets.kernels` compiles the kernels ahead of their first use."""

from fluxforge_assets.kernels.warm import warm

warm()
