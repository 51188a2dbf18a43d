"""A second framework on pymesos: wants one task at a time, time and again, and prints for each how
long it waited for an offer that holds it. Absent: anything of Shiftwork; it only shares the cluster.

usage: neighbour.py MASTER TASKS CPUS
"""
import json
import sys
import time
from threading import Lock, Timer

from pymesos import MesosSchedulerDriver, Scheduler

MEMORY_MB = 32
# Between two tasks: long enough that all it had is offered to others.
PAUSE_SECONDS = 1.5


class Neighbour(Scheduler):
    def __init__(self, tasks, cpus):
        self.left, self.cpus = tasks, cpus
        self.launched = 0
        self.wants_since = None
        self.lock = Lock()

    def want(self, driver):
        with self.lock:
            self.wants_since = time.monotonic()
        driver.reviveOffers()

    def registered(self, driver, framework_id, master_info):
        self.want(driver)

    def resourceOffers(self, driver, offers):
        with self.lock:
            for offer in offers:
                cpus = sum(r["scalar"]["value"] for r in offer["resources"] if r["name"] == "cpus")
                if self.wants_since is None or cpus < self.cpus:
                    driver.declineOffer(offer["id"], {"refuse_seconds": 1})
                    continue
                waited = time.monotonic() - self.wants_since
                self.wants_since = None
                self.launched += 1
                print(json.dumps({"waited_ms": int(waited * 1000)}), flush=True)
                driver.launchTasks(offer["id"], [{
                    "name": "neighbour", "task_id": {"value": "neighbour-%d" % self.launched},
                    "agent_id": offer["agent_id"],
                    "command": {"value": "true", "shell": True},
                    "resources": [
                        {"name": "cpus", "type": "SCALAR", "scalar": {"value": self.cpus}},
                        {"name": "mem", "type": "SCALAR", "scalar": {"value": MEMORY_MB}},
                    ],
                }])

    def statusUpdate(self, driver, status):
        if status["state"] not in ("TASK_FINISHED", "TASK_FAILED", "TASK_LOST", "TASK_ERROR"):
            return
        self.left -= 1
        if self.left > 0:
            Timer(PAUSE_SECONDS, self.want, [driver]).start()
        else:
            # Acknowledged by hand: the driver would do it after this, and be stopped by then.
            driver.acknowledgeStatusUpdate(status)
            driver.stop()

    def error(self, driver, message):
        print(json.dumps({"error": message}), flush=True)
        driver.stop()


if __name__ == "__main__":
    master, tasks, cpus = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    framework = {"user": "root", "name": "neighbour", "failover_timeout": 0}
    MesosSchedulerDriver(Neighbour(tasks, cpus), framework, master).run()
