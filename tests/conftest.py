"""Settings of every test: hypothesis measures no time, for a loaded machine is no defect."""

from hypothesis import HealthCheck, settings

settings.register_profile("fluxforge", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("fluxforge")
