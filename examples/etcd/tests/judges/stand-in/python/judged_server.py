"""A plugin of pytest that starts the server under test before the tests and ends it after them."""

import os
import subprocess

import etcd3
import grpc

# The tests connect to this address, etcd's default, unless the environment names another.
ADDRESS = "127.0.0.1:2379"

READY_SECONDS = 20


def pytest_sessionstart(session):
    if session.config.option.collectonly:
        return
    with open(os.environ["JUDGES_SERVER_LOG"], "ab") as log:
        session.judged_server = subprocess.Popen(
            [os.environ["JUDGES_START_SERVER"], "--listen", ADDRESS, "--data", os.environ["TMPDIR"] + "/data"],
            stdout=log,
            stderr=log,
        )
    with grpc.insecure_channel(ADDRESS) as channel:
        grpc.channel_ready_future(channel).result(timeout=READY_SECONDS)
    # One test compacts revision 3, which exists where other tests ran before.
    with etcd3.client() as client:
        client.put("judged_server", "")
        client.delete("judged_server")


def pytest_sessionfinish(session):
    if hasattr(session, "judged_server"):
        session.judged_server.kill()
        session.judged_server.wait()
