"""Processes that are started again meet, whatever earlier ones left in the store of torchrun."""

import threading

import pytest
import torch.distributed as dist
from conftest import PATIENCE

from util import launcher


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> dist.TCPStore:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": store.port, "RANK": rank}
    where |= {"WORLD_SIZE": world, "TORCHELASTIC_USE_AGENT_STORE": "True"}
    where["TORCHELASTIC_RESTART_COUNT"] = 0  # which PyTorch 2.4 reads
    for name, value in where.items():
        monkeypatch.setenv(name, str(value))
    return store


def test_each_start_has_keys_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    server = launched(monkeypatch, 0, 1)
    launcher.fresh_store().set("address", "of the first start")
    assert not launcher.fresh_store().check(["address"])
    assert not server.check(["address"])


def test_rank_0_waits_for_the_others_of_this_start(monkeypatch: pytest.MonkeyPatch) -> None:
    server = launched(monkeypatch, 1, 2)
    store = next(dist.rendezvous("env://"))[0]  # before PyTorch 2.6 its keys have a prefix
    monkeypatch.setenv("RANK", "0")
    store.set("hello/1", "of a process that has ended")
    store.set("joined/an earlier start/1", "")
    thread = threading.Thread(target=launcher.fresh_store)
    thread.start()
    store.wait(["welcome/of a process that has ended"])
    store.set("hello/1", "new")
    prefix = store.get("welcome/new").decode()
    assert thread.is_alive()
    store.set(f"joined/{prefix}/1", "")
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert server.port


def test_rank_0_waits_no_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    server = launched(monkeypatch, 0, 2)
    monkeypatch.setenv("RANKS_TIMEOUT", "1")
    with pytest.raises(RuntimeError, match="process 1 did not start"):
        launcher.fresh_store()
    assert server.port
