# SPDX-License-Identifier: Apache-2.0
"""Network namespaces and what runs in them."""
import json
import subprocess


def run(*command, check=True):
    """The command's output; SystemExit with its words if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"FAIL: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def run_in(space, *command):
    return run("nsenter", f"--net=/run/netns/{space}", *command)


def link_statistics(space, interface):
    """What the interface has counted: {"tx": {"packets": ...}, "rx": ...}."""
    shown = run("ip", "-n", space, "-j", "-s", "link", "show", "dev", interface)
    return json.loads(shown)[0]["stats64"]


def inside(space, cpus, *command):
    """The command line that runs `command` there (`ip netns exec` would hide bpffs).

    What it starts does not outlive the room, even if that is killed.
    """
    return ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/run/netns/{space}",
            "taskset", "-c", cpus, *command]


def remove(space):
    """With all that runs there."""
    for pid in run("ip", "netns", "pids", space, check=False).split():
        run("kill", "-KILL", pid, check=False)
    run("ip", "netns", "delete", space, check=False)


def remove_all(prefix):
    """What a run that was killed has left; no other may be under way."""
    for line in run("ip", "netns", "list").splitlines():
        if line.startswith(prefix):
            remove(line.split()[0])
