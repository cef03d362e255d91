"""JupyterLab as ``make lab`` starts it, and what a test asks of its page."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
MODULES = {"lab": "jupyterlab", "notebook": "notebook"}

# What JupyterLab says in the browser's console of itself, and why it is no complaint of ours.
HARMLESS = {
    "Disabling terminals plugin": "the server may lack terminado",
    "to activate.": "a plugin is slow: a busy machine, in JupyterLab's words",
    "/lsp/status": "it asks for language servers, and there are none",
    "colab-badge.svg": "the badge is a picture from the network, and tests have none",
    "status of 404": "the two above, in Chromium's words; each request is looked at itself",
    "ERR_NAME_NOT_RESOLVED": "the same",
    "ERR_INTERNET_DISCONNECTED": "the same",
}

# Every message of the kernel, by the cell that it answers: how long the cell took, and how long
# nothing was heard of it. A bar of progress is heard, since it sends messages.
WATCH = """() => {
  const panel = jupyterapp.shell.currentWidget;
  const runs = new Map();
  const now = () => performance.now() / 1000;
  const cells = panel.content.widgets.filter((w) => w.model.type === 'code');
  const names = new Map(cells.map((w) => [w.model.sharedModel.source, w.model.id]));
  panel.sessionContext.session.kernel.iopubMessage.connect((_, message) => {
    const [id, kind] = [message.parent_header.msg_id, message.header.msg_type];
    if (kind === 'execute_input') {
      const cell = names.get(message.content.code);
      runs.set(id, {cell, began: now(), heard: now(), silent: 0, error: '', ended: false});
    }
    const run = runs.get(id);
    if (!run || kind === 'execute_input') return;
    if (kind === 'status' && message.content.execution_state !== 'idle') return;
    run.silent = Math.max(run.silent, now() - run.heard);
    run.heard = now();
    if (kind === 'status') run.ended = true;
    if (kind === 'error') run.error = `${message.content.ename}: ${message.content.evalue}`;
  });
  window.watched = () => {
    const all = [...runs.values()];
    const last = all.length >= cells.length || all.some((r) => r.error);
    if (!last || !all.every((r) => r.ended)) return null;
    return all.map(({cell, began, heard, silent, error}) =>
      ({cell, seconds: heard - began, silent, error}));
  };
}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command_of_make():
    """The options that ``make lab`` gives to Jupyter; a test brings its own folder."""
    make = ["make", "-n", "--no-print-directory", "lab"]
    said = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in said.splitlines() if "jupyter lab" in line)
    _, _, *options, folder = shlex.split(line)
    assert folder == "notebooks", line
    return options


class Server:
    """A server of its own port, folder and settings, without a token: only for tests."""

    def __init__(self, folder, app="lab"):
        self.books, self.log = folder / "notebooks", folder / "log"
        self.books.mkdir(parents=True)
        notices = folder / "settings" / "@jupyterlab" / "apputils-extension"
        notices.mkdir(parents=True)
        (notices / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.path = "lab/tree" if app == "lab" else "notebooks"
        options = [*command_of_make(), "--no-browser", "--allow-root"]
        options += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
        options += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
        options += ["--JupyterNotebookApp.expose_app_in_browser=True"]
        options += [f"--{which}.user_settings_dir={folder / 'settings'}" for which in
                    ("LabApp", "JupyterNotebookApp")]  # fmt: skip
        options += [f"--LabApp.workspaces_dir={folder / 'workspaces'}"]
        own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        dropped = ("CAUFVAE_SLIDERS", "CAUFVAE_CORNERS", "SEED", "DEVICE", "OUT")
        environment = {k: v for k, v in os.environ.items() if k not in dropped}
        environment |= {name: str(folder / name.lower()) for name in own}
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULES[app], *options, str(self.books)],
            env=environment,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )
        self.wait()

    def wait(self, seconds=600):
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/api", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"Jupyter did not start: {self.log.read_text()[-2000:]}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def put(self, name, only=()):
        """A copy of the notebook ``name``, or of ``only`` those of its cells."""
        path = next((ROOT / "notebooks").glob(f"{name}_*.ipynb"))
        copy = self.books / f"{path.stem}{'-excerpt' if only else ''}.ipynb"
        if only:
            book = nbformat.read(path, as_version=4)
            book.cells = [cell for cell in book.cells if cell.id in only]
            assert len(book.cells) == len(only), f"{path.name} lacks some of {only}"
            nbformat.write(book, copy)
        else:
            shutil.copyfile(path, copy)
        return copy

    def write(self, name, *sources):
        """A notebook of these code cells."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        path = self.books / f"{name}.ipynb"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
        return path

    def address_of(self, path):
        return f"{self.address}/{self.path}/{path.name}"


def wait_for_kernel(page):
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
    page.wait_for_function(
        "jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'"
    )


def run_all(page, minutes=20):
    """Run All from the menu, as a reader does; of each code cell what `WATCH` noticed."""
    page.evaluate(WATCH)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function("window.watched() !== null", timeout=60_000 * minutes)
    return page.evaluate("window.watched()")


def show_cell(page, cell_id):
    """Scroll to a cell, which JupyterLab draws only now; its place in the page."""
    page.evaluate(
        """async (id) => {
          const { content } = jupyterapp.shell.currentWidget;
          const place = content.widgets.findIndex((w) => w.model.id === id);
          content.activeCellIndex = place;
          await content.scrollToItem(place, 'start');
        }""",
        cell_id,
    )
    page.wait_for_timeout(300)
    return page.locator(".jp-Notebook .jp-Cell.jp-mod-active")


def outputs_after_saving(page, path):
    """The notebook's outputs by cell, as a reader's own file has them."""
    page.evaluate("jupyterapp.shell.currentWidget.context.save()")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    cells = json.loads(path.read_text())["cells"]
    return {c["id"]: c["outputs"] for c in cells if c["cell_type"] == "code"}
