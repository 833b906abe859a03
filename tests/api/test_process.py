"""`clearwatt serve` as a process: the main path over real HTTP, small, and gone when it is told to."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from settlement.hashing import keccak256
from settlement.trade import Signature
from settlement.typed_data import recover
from store.feed import NO_ITEMS, FeedItem, News, first_break
from tests.api.gateway_scene import SIGNERS, hexed, proposal, signed_by
from tests.api.serving_process import ServingProcess
from tests.member.scene import Scene

MAX_MEGABYTES = 150
FORBIDDEN = ("vyper", "pyarrow", "boa", "numpy", "audit", "demo", "oracle", "trading")

REPORTING = """
import atexit, json, sys
sys.argv[0] = "clearwatt"
from cli.main import run
code = run(sys.argv[1:])
with open("/proc/self/status") as status:
    peak = next(line for line in status if line.startswith("VmHWM"))
print("MODULES " + json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
print(peak)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Scene(tmp_path_factory.mktemp("market")) as made:
        yield made


@pytest.fixture(scope="module")
def served(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingProcess]:
    with ServingProcess(scene, tmp_path_factory.mktemp("gateway")) as made:
        yield made


def test_main_path(scene: Scene, served: ServingProcess) -> None:
    one = scene.trade(item="over-http")
    assert served.client("sunmarket").post("/v1/trades", proposal(scene, one, [])).status_code == 201
    waiting = served.client("eastpower").get(f"/v1/trades?missing={hexed(scene.id('eastpower'))}").json()["items"]
    assert [found["digest"] for found in waiting] == [hexed(one.digest)]

    def sign(name: str) -> int:
        more = signed_by(scene, one, [name])
        return served.client(name).post(f"/v1/trades/{hexed(one.digest)}/signatures", more).status_code

    with ThreadPoolExecutor(4) as pool:  # all at once, as members do
        assert list(pool.map(sign, SIGNERS)) == [200] * 4
    served.settled()

    found = served.client("rooftrade").get(f"/v1/trades/{hexed(one.digest)}").json()
    assert (found["state"], found["number"]) == ("COMMITTED", 1)
    assert scene.call("TradeBook", "is_place_registered", one.digest)


def test_feed_wakes_who_waits(scene: Scene, served: ServingProcess) -> None:
    client = served.client("sunmarket")
    head = client.get("/v1/feed/head").json()["seq"]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.get, f"/v1/feed?after={head}&wait=20")
        scene.fund("sunmarket", 1_000)
        found = waiting.result(15).json()
    assert found["items"][0]["seq"] == head + 1


def test_feed_is_verifiable_from_outside(scene: Scene, served: ServingProcess) -> None:
    """With nothing but the answers: every hash follows, and the head is signed by the key that the gateway has."""
    client = served.client("sunmarket")
    served.settled()
    items, after = [], 0
    while page := client.get(f"/v1/feed?after={after}&limit=7").json()["items"]:
        items += page
        after = page[-1]["seq"]
    rebuilt = [
        FeedItem(
            one["seq"],
            News(
                one["type"],
                one["subject"],
                one["block"]["number"],
                bytes.fromhex(one["block"]["hash"][2:]),
                one["log_index"],
                one["payload"],
                one["undoes"],
            ),
            bytes.fromhex(one["prev_hash"][2:]),
            bytes.fromhex(one["hash"][2:]),
        )
        for one in items
    ]
    assert first_break(NO_ITEMS, rebuilt) is None
    head = client.get("/v1/feed/head").json()
    assert (head["seq"], head["hash"]) == (items[-1]["seq"], items[-1]["hash"])
    said = {"hash": head["hash"], "market": head["market"], "seq": head["seq"]}
    digest = keccak256(json.dumps(said, separators=(",", ":")).encode())
    signature = Signature(head["signature"]["v"], *(bytes.fromhex(head["signature"][name][2:]) for name in ("r", "s")))
    signer = recover(digest, signature)
    assert signer is not None
    assert "0x" + signer.hex() == head["key"]
    chain = {(event.block, event.log_index) for name in scene.contracts for event in scene.contracts[name].events()}
    assert {(one["block"]["number"], one["log_index"]) for one in items} == chain


def test_admin_listener(served: ServingProcess) -> None:
    served.settled()
    admin = httpx.Client(base_url=served.ready["admin_url"])
    assert admin.get("/readyz").json()["ready"]
    assert "clearwatt_index_head" in admin.get("/metrics").text
    assert served.http.get("/metrics").status_code == 404


def test_second_process_on_the_same_file_is_refused(served: ServingProcess, scene: Scene) -> None:
    other = ServingProcess(scene, served.folder)
    other.ready_file = served.folder / "other.json"
    other.launch()
    assert other.process is not None
    assert other.process.wait(30) == 4
    assert "one process at a time" in other.log


def test_small_and_without_compilers(scene: Scene, tmp_path: Path) -> None:
    """After serving hundreds of requests; measured by the process itself as it ends."""
    served = ServingProcess(scene, tmp_path / "measured", (sys.executable, "-c", REPORTING))
    served.start()
    client = served.client("sunmarket")
    for place in range(100):
        one = scene.trade(item=f"small-{place}")
        assert client.post("/v1/trades", proposal(scene, one, SIGNERS, lane="batched")).status_code == 201
    for _ in range(20):
        for path in ("/v1/trades?limit=500", "/v1/feed?limit=500", "/v1/cycles", "/v1/members", "/v1/obligations"):
            assert client.get(path).status_code == 200
    served.settled()

    assert served.end() == 0

    (modules,) = [line for line in served.log_lines() if line.startswith("MODULES ")]
    loaded = set(json.loads(modules.removeprefix("MODULES ")))
    assert "api" in loaded
    assert not loaded.intersection(FORBIDDEN)
    (peak,) = [line for line in served.log_lines() if line.startswith("VmHWM")]
    megabytes = int(peak.split()[1]) // 1024
    print(f"peak resident set: {megabytes} MB")
    assert megabytes < MAX_MEGABYTES


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_ends_when_told_to(scene: Scene, tmp_path: Path, number: int, code: int) -> None:
    served = ServingProcess(scene, tmp_path / "ended")
    served.start()
    client = served.client("sunmarket")
    head = client.get("/v1/feed/head").json()["seq"]
    with ThreadPoolExecutor(1) as pool:
        # Who waits for news does not hold it up.
        waiting = pool.submit(client.get, f"/v1/feed?after={head}&wait=30")
        assert served.process is not None
        served.process.send_signal(number)
        assert served.process.wait(10) == code
        waiting.exception(10)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"max_body": "1"}, "max_body"),
        ({"speed": '"fast"'}, "speed"),
        ({"listen": '"0.0.0.0:0"'}, "public_url"),
        ({"rates": "{ reed = { burst = 1 } }"}, "rates.reed"),
        ({"deployment": '"nowhere"'}, "deployment.json"),
    ],
)
def test_configuration_is_refused_by_its_key(scene: Scene, tmp_path: Path, changed: dict[str, str], told: str) -> None:
    served = ServingProcess(scene, tmp_path / "refused", **changed)
    served.launch()
    assert served.process is not None
    assert served.process.wait(30) in (3, 4)
    assert told in served.log
