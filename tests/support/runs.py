"""Sensor and assets as Dagster runs them, in process over a lake."""

import dagster as dg

from fluxforge_assets.defs.realtime import REALTIME


def sensor_context(defs, instance):
    lake = {"lake": defs.resources["lake"]}
    return dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def(), resources=lake)


def tick(defs, instance):
    """One evaluation of the sensor, with its requests carried out: the runs."""
    sensor = defs.get_repository_def().get_sensor_def("ready_segments")
    result = sensor.evaluate_tick(sensor_context(defs, instance))
    for request in result.dynamic_partitions_requests or ():
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    job = defs.get_repository_def().get_job(REALTIME)
    return [
        job.execute_in_process(run_config=request.run_config, instance=instance, raise_on_error=False)
        for request in result.run_requests
    ]


def materialise(defs, instance, names, key):
    return dg.materialize(
        [a for a in defs.assets if isinstance(a, dg.AssetsDefinition)],
        selection=dg.AssetSelection.assets(*[n.split("/") for n in names]),
        partition_key=key,
        instance=instance,
        resources=defs.resources,
        raise_on_error=False,
    )


def failure_of(result):
    """What the run says of its failure."""
    event = next(e for e in result.all_events if e.is_step_failure)
    data = event.step_failure_data
    return data.user_failure_data.description if data.user_failure_data else data.error.message
