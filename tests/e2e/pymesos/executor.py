"""A Mesos executor on pymesos: a task "works" until it has slept for as many seconds as its data
says, or is killed; a message from the framework goes back in capitals. Absent: anything of
Shiftwork."""
from threading import Event, Thread

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data


class Sleeper(Executor):
    def __init__(self):
        self.killed = {}

    def launchTask(self, driver, task):
        task_id = task["task_id"]
        killed = self.killed[task_id["value"]] = Event()

        def work():
            driver.sendStatusUpdate({"task_id": task_id, "state": "TASK_RUNNING"})
            was_killed = killed.wait(float(decode_data(task["data"])))
            state = "TASK_KILLED" if was_killed else "TASK_FINISHED"
            driver.sendStatusUpdate({"task_id": task_id, "state": state})

        Thread(target=work, daemon=True).start()

    def killTask(self, driver, task_id):
        self.killed[task_id["value"]].set()

    def frameworkMessage(self, driver, message):
        text = decode_data(message).decode()
        driver.sendFrameworkMessage(encode_data(text.upper().encode()))


if __name__ == "__main__":
    MesosExecutorDriver(Sleeper()).run()
