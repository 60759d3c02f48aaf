"""Rules and dashboard: judged by promtool, explained in the runbook, answered by a real Prometheus under real load."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from stages.serving.metrics import Metrics
from tests.dask_machines import free_port
from tests.deploy.service import BUNDLES, ROOT, asked, example_rows, wait_until_ready

RULES = ROOT / "deploy/prometheus/rules.yml"
PLAYED = sorted((ROOT / "tests/deploy").glob("alerts*.yml"))
CONFIG = ROOT / "deploy/prometheus/prometheus.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text(encoding="utf-8"))
LISTED = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
ALERTS = [rule["alert"] for rule in LISTED if "alert" in rule]
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
LOAD_S = 25.0
# What takes hours is asked of seconds here; the longest word first.
SHORTER = {"[1d] offset 1h": "[10s] offset 5s", "offset 2h": "offset 5s", "[1h]": "[15s]", "[5m]": "[15s]",
           "$__rate_interval": "15s", "$model": ".*"}  # fmt: skip
COMPARED = re.compile(r"\s*(?:==|>|<)\s*[\d.]+\s*$")

with_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")


def shortened(text: str) -> str:
    for long, short in SHORTER.items():
        text = text.replace(long, short)
    return text


@with_promtool
@pytest.mark.parametrize(
    "command", [("check", "config", CONFIG), ("check", "rules", RULES), ("test", "rules", *PLAYED)],
    ids=lambda command: " ".join(map(str, command[:2])),
)  # fmt: skip
def test_promtool_has_nothing_to_say_against_them(command: tuple[str | Path, ...]) -> None:
    done = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_played_and_has_its_lines_in_the_runbook(alert: str) -> None:
    (rule,) = (rule for rule in LISTED if rule.get("alert") == alert)
    page, _, heading = rule["annotations"]["runbook"].partition("#")
    assert heading == alert.lower()
    assert f"\n### {alert}\n" in (ROOT / page).read_text(encoding="utf-8")
    raised = rf'alertname(: |="){alert}\b'
    assert any(re.search(raised, path.read_text(encoding="utf-8")) for path in PLAYED)


def test_every_figure_that_is_asked_for_is_one_that_the_service_has() -> None:
    expressions = [*QUERIES, *(rule["expr"] for rule in LISTED)]
    asked_for = {name for text in expressions for name in re.findall(r"plumbline_[a-z_]+", text)}
    has = {metric.name for metric in Metrics().registry.collect()}
    assert {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked_for} <= has
    recorded = {rule["record"] for rule in LISTED if "record" in rule}
    assert {name for text in expressions for name in re.findall(r"plumbline:[a-z_:0-9]+", text)} == recorded


def test_panels_do_not_lie_upon_each_other_and_all_ask_the_chosen_source() -> None:
    taken = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) == 23
    sources = [one["datasource"]["uid"] for panel in DASHBOARD["panels"] for one in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml").read_text())
    assert source["datasources"][0]["isDefault"] is True


# ── a real Prometheus, a real service with two workers, real requests ────────────────────────────────────────────────
@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a service with two workers."""
    port, folder = free_port(), tmp_path_factory.mktemp("service")
    command = [sys.executable, "-m", "stages.serve", ROOT / "bundles", "--port", str(port), "--workers", "2",
               "--keep", folder / "kept"]  # fmt: skip
    with (folder / "said").open("wb") as said, subprocess.Popen(command, cwd=ROOT, stderr=said) as server:
        try:
            wait_until_ready(port, lambda: server.poll() is None)
            yield port
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def prometheus(service: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Prometheus with the rules and the configuration as they are, but for addresses and windows."""
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        here = {"plumbline": service, "prometheus": port, "monitor": port}[job["job_name"]]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{here}"]}]
    config["rule_files"] = [RULES.name]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / RULES.name).write_text(shortened(RULES.read_text(encoding="utf-8")), encoding="utf-8")
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    with subprocess.Popen(command) as server:
        try:
            while asked(port, "GET", "/-/ready")[0] != 200:
                assert server.poll() is None
                time.sleep(0.1)
            yield port
        finally:
            server.terminate()


def a_number(bundle: Path) -> str:
    """An input of the bundle that is a number."""
    inputs = json.loads((bundle / "signature.json").read_text(encoding="utf-8"))["inputs"]
    return str(next(each["name"] for each in inputs if each["kind"] == "numeric"))


def bodies() -> dict[str, list[tuple[bytes, int]]]:
    """For each model requests as they come, and what is to come back: good, lacking, strange and broken ones."""
    made = {}
    for bundle in BUNDLES:
        row = example_rows(bundle)[0]
        lacking, strange, broken = (row | {a_number(bundle): value} for value in (None, 1e9, "many"))
        listed = ((row, 200), (lacking, 200), (strange, 200), (broken, 422))
        made[bundle.name] = [(json.dumps(each).encode(), status) for each, status in listed]
    return made


def ask_for(seconds: float, port: int) -> int:
    """Requests over one connection; how many were answered as they should."""
    connection, until, n = HTTPConnection("127.0.0.1", port, timeout=30), time.monotonic() + seconds, 0
    requests = [(name, body, status) for name, listed in bodies().items() for body, status in listed]
    for name, body, status in cycle(requests):
        if time.monotonic() > until:
            connection.close()
            return n
        connection.request("POST", f"/models/{name}/predict", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        told = answer.read()
        assert answer.status == status, told
        n += 1
    return n


def answered(port: int, query: str) -> list[dict[str, Any]]:
    status, body = asked(port, "GET", f"/api/v1/query?{urlencode({'query': query})}")
    assert status == 200, f"{query}: {body!r}"
    result: list[dict[str, Any]] = json.loads(body)["data"]["result"]
    return result


@pytest.fixture(scope="module")
def load(service: int, prometheus: int) -> int:
    """How many requests were answered while Prometheus looked on; its last look came after the last of them."""
    with ThreadPoolExecutor(4) as clients:
        n = sum(clients.map(lambda _: ask_for(LOAD_S, service), range(4)))
    time.sleep(2.5)
    return n


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus on this machine")
@pytest.mark.skipif(not BUNDLES, reason="no bundles to serve; `make repro` makes them")
class TestUnderLoad:
    def test_two_workers_count_together_what_their_clients_counted(self, load: int, prometheus: int) -> None:
        (counted,) = answered(prometheus, 'sum(plumbline_requests_total{route="/models/{name}/predict"})')
        assert float(counted["value"][1]) == load

    @pytest.mark.parametrize("query", QUERIES)
    def test_every_query_of_the_dashboard_is_answered(self, query: str, load: int, prometheus: int) -> None:
        assert answered(prometheus, shortened(query))

    @pytest.mark.parametrize("rule", LISTED, ids=lambda rule: rule.get("alert") or rule["record"])
    def test_every_rule_is_answered(self, rule: dict[str, str], load: int, prometheus: int) -> None:
        """What a rule records has a value; what an alert compares has one too, though nothing is wrong."""
        expression = rule.get("record") or COMPARED.sub("", shortened(rule["expr"]))
        assert answered(prometheus, expression)

    def test_no_alert_fires(self, load: int, prometheus: int) -> None:
        assert answered(prometheus, 'ALERTS{alertstate="firing"}') == []

    @pytest.mark.parametrize("kind", ["missing", "out_of_reference"])
    @pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)
    def test_shares_are_what_was_sent(self, bundle: Path, kind: str, load: int, prometheus: int) -> None:
        """Of the rows that were scored one in three lacked a number, and in one in three it was a strange one."""
        labels = f'{{model="{bundle.name}", input="{a_number(bundle)}"}}'
        (share,) = answered(prometheus, f"max_over_time(plumbline:inputs_{kind}:share1h{labels}[10s])")
        assert abs(float(share["value"][1]) - 1 / 3) < 0.1
