"""A Mesos scheduler on pymesos: launches the tasks it is given as JSON on the first offer that
comes, prints what it is told as a JSON object a line, and ends when all tasks have ended. Absent:
anything of Shiftwork; it is a stranger on purpose.

usage: scheduler.py MASTER PLAN, where PLAN is
    {"executor": ExecutorInfo, "tasks": [TaskInfo without agent],
     "messages": [text for the executor, sent when the first task runs],
     "kill": [ids of tasks to kill once they run]}
"""
import json
import sys
from threading import Lock

from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

ENDED = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST"}


class Launcher(Scheduler):
    def __init__(self, plan):
        self.plan = plan
        self.waiting = {task["task_id"]["value"] for task in plan["tasks"]}
        self.launched = False
        self.lock = Lock()

    def say(self, event, **facts):
        with self.lock:
            print(json.dumps({"event": event, **facts}), flush=True)

    def registered(self, driver, framework_id, master_info):
        self.say("registered", framework=framework_id["value"], version=master_info["version"])

    def resourceOffers(self, driver, offers):
        self.say("offers", agents=[offer["agent_id"]["value"] for offer in offers])
        if self.launched:
            for offer in offers:
                driver.declineOffer(offer["id"], {"refuse_seconds": 60})
            return
        self.launched = True
        first, rest = offers[0], offers[1:]
        agent = first["agent_id"]
        tasks = [dict(task, agent_id=agent) for task in self.plan["tasks"]]
        for task in tasks:
            task["executor"] = self.plan["executor"]
        driver.launchTasks(first["id"], tasks)
        for offer in rest:
            driver.declineOffer(offer["id"])
        driver.suppressOffers()

    def statusUpdate(self, driver, status):
        task, state = status["task_id"]["value"], status["state"]
        self.say("update", task=task, state=state, message=status.get("message"),
                 data=status.get("data"), source=status.get("source"))
        if state == "TASK_RUNNING":
            for text in self.plan.get("messages", []):
                driver.sendFrameworkMessage(
                    status["executor_id"], status["agent_id"], encode_data(text.encode()))
            self.plan["messages"] = []
            if task in self.plan.get("kill", []):
                driver.killTask(status["task_id"])
        if state in ENDED:
            self.waiting.discard(task)
            if not self.waiting:
                # Acknowledged by hand: the driver would do it after this, and be stopped by then.
                driver.acknowledgeStatusUpdate(status)
                driver.stop()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        self.say("message", text=decode_data(message).decode())

    def executorLost(self, driver, executor_id, agent_id, status):
        self.say("executor lost", executor=executor_id["value"], status=status)

    def error(self, driver, message):
        self.say("error", message=message)
        driver.stop()


if __name__ == "__main__":
    master, plan = sys.argv[1], json.loads(sys.argv[2])
    framework = {"user": "root", "name": "pymesos", "failover_timeout": 60}
    MesosSchedulerDriver(Launcher(plan), framework, master).run()
