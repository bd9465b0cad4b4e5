"""The simulated exchange: a loopback server that speaks real wire protocols to unmodified clients."""

from fluxforge_collector.simulator.faults import Fault
from fluxforge_collector.simulator.options import SimulatorOptions
from fluxforge_collector.simulator.server import Simulator
from fluxforge_collector.simulator.truth import FrameTruth, Truth

__all__ = ["Fault", "FrameTruth", "Simulator", "SimulatorOptions", "Truth"]
