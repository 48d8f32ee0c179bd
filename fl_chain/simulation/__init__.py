"""Many participants in one process, or in a pool of them: the same protocol code, the same run folder."""

from fl_chain.simulation.choices import SimulationChoices
from fl_chain.simulation.engine import Progress, Simulation, open_simulation

__all__ = ["Progress", "Simulation", "SimulationChoices", "open_simulation"]
