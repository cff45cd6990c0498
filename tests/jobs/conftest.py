import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tiny arrays gain nothing from more threads, and wait for each other where cores are shared."""
    torch.set_num_threads(1)
