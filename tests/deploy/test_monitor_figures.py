"""What a monitor leaves for Prometheus: its format, its rules, and its dashboard asked of a real Prometheus."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import yaml

from stages.monitoring.tables import as_prometheus
from tests.dask_machines import free_port
from tests.deploy.service import ROOT, asked
from tests.deploy.test_figures import answered

RULES = ROOT / "deploy/prometheus/monitor_rules.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/monitor.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
ALERTS = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
ODD = 'a "column"\\with\nall'
COLUMN = {"name": "hour", "psi": 0.4321, "drifted": True}
TOLD = {
    "dataset": "trial",
    "batches": [
        {
            "rows": 1234, "columns": [COLUMN, COLUMN | {"name": ODD, "psi": None, "drifted": False}],
            "predictions": [{"name": "probability", "psi": 0.05, "drifted": False}],
            "quality": [
                {"metric": "log_loss", "value": 0.5, "reference": 0.4, "verdict": "worse"},
                {"metric": "roc_auc", "value": 0.7, "reference": 0.71, "verdict": "no evidence"},
            ],
        },
    ],
}  # fmt: skip


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on this machine")
def test_promtool_reads_the_figures() -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=as_prometheus(TOLD), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_is_played_and_has_its_lines_in_the_runbook(rule: dict) -> None:
    page, _, heading = rule["annotations"]["runbook"].partition("#")
    assert heading == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in (ROOT / page).read_text(encoding="utf-8")
    assert f"alertname: {rule['alert']}" in (ROOT / "tests/deploy/alerts_of_a_monitor.yml").read_text(encoding="utf-8")


def test_every_figure_that_is_asked_for_is_written() -> None:
    asked_for = {name for text in (*QUERIES, *(rule["expr"] for rule in ALERTS))
                 for name in re.findall(r"plumbline_[a-z_]+", text)}  # fmt: skip
    assert asked_for == set(re.findall(r"^# TYPE (\S+) gauge$", as_prometheus(TOLD), re.M))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Prometheus that reads the figures from a web server, and has the rules."""
    folder, port, source = tmp_path_factory.mktemp("prometheus"), free_port(), free_port()
    (folder / "metrics").write_text(as_prometheus(TOLD), encoding="utf-8")
    shutil.copy(RULES, folder)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [RULES.name],
        "scrape_configs": [{
            "job_name": "monitor", "fallback_scrape_protocol": "PrometheusText0.0.4",
            "static_configs": [{"targets": [f"127.0.0.1:{source}"]}],
        }],
    }  # fmt: skip
    if version() < (3, 0):
        del config["scrape_configs"][0]["fallback_scrape_protocol"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    serving = [sys.executable, "-m", "http.server", str(source), "--bind", "127.0.0.1", "--directory", folder]
    looking = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]  # fmt: skip
    with subprocess.Popen(serving, stderr=subprocess.DEVNULL) as web, subprocess.Popen(looking) as server:
        try:
            until = time.monotonic() + 60
            while asked(port, "GET", "/-/ready")[0] != 200 or not answered(port, "plumbline_monitor_rows"):
                assert server.poll() is None and web.poll() is None and time.monotonic() < until
                time.sleep(0.2)
            yield port
        finally:
            server.terminate()
            web.terminate()


def version() -> tuple[int, ...]:
    told = subprocess.run(["prometheus", "--version"], capture_output=True, text=True)
    return tuple(map(int, re.findall(r"version (\d+)\.(\d+)", told.stdout + told.stderr)[0]))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus on this machine")
class TestAsked:
    @pytest.mark.parametrize("query", QUERIES)
    def test_every_query_of_the_dashboard_is_answered(self, query: str, prometheus: int) -> None:
        assert answered(prometheus, query.replace("$model", ".*"))

    def test_labels_and_values_arrive_as_they_were(self, prometheus: int) -> None:
        columns = {each["metric"]["column"] for each in answered(prometheus, "plumbline_monitor_drifted")}
        assert columns == {"hour", ODD, "probability"}
        (psi,) = answered(prometheus, 'plumbline_monitor_psi{column="hour"}')
        assert float(psi["value"][1]) == 0.4321

    def test_both_alerts_fire(self, prometheus: int) -> None:
        until = time.monotonic() + 30
        while len(found := answered(prometheus, 'ALERTS{alertstate="firing"}')) < 2 and time.monotonic() < until:
            time.sleep(0.5)
        assert {each["metric"]["alertname"] for each in found} == {rule["alert"] for rule in ALERTS}
