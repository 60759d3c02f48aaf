"""Execute a notebook and keep what it shows as one page that needs nothing else.

The kernel is this interpreter, whatever kernels or IPython start-up files the user has; all that Jupyter writes goes to
a folder that vanishes.  The page holds no prompt, time, path or version, so the same outputs give the same bytes.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stages.runtime.log import log

KERNEL_ENVIRONMENT = {
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # the debugger, which nobody attaches, warns about frozen modules
}
PRIVATE_FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")


def execute_notebook(path: Path, parameters: Mapping[str, Any]) -> Any:
    """Run the notebook from the working directory; its cells and their outputs, without the cell of parameters.

    What cells write to standard error goes to the log.

    Raises
    ------
    papermill.PapermillExecutionError
        With the traceback of the cell that failed.
    """
    logging.getLogger("papermill").setLevel(logging.WARNING)
    with _private_jupyter() as folder:
        import papermill  # type: ignore[import-untyped]  # after the folders are set

        notebook = papermill.execute_notebook(
            str(path),
            None,
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            kernel_manager_class=_own_kernel(folder),
            extra_arguments=["--HistoryManager.enabled=False", "--log-level=50"],
            shutdown_kernel="immediate",  # it owns nothing worth a farewell
        )
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _to_log(output)]
    return notebook


def notebook_page(notebook: Any, template: Path, title: str) -> str:
    """Render executed cells with the nbconvert template of that folder."""
    with _private_jupyter():
        from nbconvert import HTMLExporter

        exporter = HTMLExporter(  # type: ignore[no-untyped-call]
            template_name=template.name, extra_template_basedirs=[str(template.parent.resolve())], anchor_link_text=""
        )
        page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return "\n".join(line.rstrip() for line in str(page).splitlines()) + "\n"


def _own_kernel(folder: Path) -> Any:
    """A manager of kernels that knows no installed kernel, only this interpreter, and talks to it through files."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class OwnKernel(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            specs = KernelSpecManager(kernel_dirs=[])
            super().__init__(**options, kernel_spec_manager=specs, transport="ipc", ip=str(folder / "kernel"))

    return OwnKernel


def _to_log(output: Any) -> bool:
    if output.output_type != "stream" or output.name != "stderr":
        return False
    for line in output.text.splitlines():
        log.warning("notebook: %s", line)
    return True


@contextmanager
def _private_jupyter() -> Iterator[Path]:
    """Point everything that Jupyter reads or writes for a user at a folder that vanishes."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        wanted = KERNEL_ENVIRONMENT | {name: str(Path(folder) / name.lower()) for name in PRIVATE_FOLDERS}
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield Path(folder)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
