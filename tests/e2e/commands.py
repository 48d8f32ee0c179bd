from pathlib import Path

from fl_chain.demo import demo_settings
from fl_chain.simulation import SimulationChoices, open_simulation


def simulated_root(folder: Path, *, seed: int, rounds: int) -> str:
    """Return the root of the last model that the demo's settings lead to, all in this process."""
    settings, choices = demo_settings(seed=seed, rounds=rounds), SimulationChoices(ledger="memory")
    with open_simulation(folder, settings, choices) as simulation:
        history = simulation.run()
        return "0x" + history.model_root(history.state.tip).hex()
