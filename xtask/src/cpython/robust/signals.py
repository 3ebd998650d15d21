# Rains signals on a main thread that waits for a lock, with and without a handler that raises.
import os
import signal
import threading
import time

handled = 0


class Stop(Exception):
    pass


def count(*_):
    global handled
    handled += 1


def stop(*_):
    raise Stop


lock = threading.Lock()
lock.acquire()
done = threading.Event()


def rain(number, pause):
    while not done.is_set():
        os.kill(os.getpid(), number)
        time.sleep(pause)


# A handler that returns: the wait goes on to its deadline, and no earlier.
signal.signal(signal.SIGUSR1, count)
rainers = [threading.Thread(target=rain, args=(signal.SIGUSR1, 0.0005)) for _ in range(2)]
for thread in rainers:
    thread.start()
for timeout in (0.05, 0.5, 1.0):
    start = time.monotonic()
    assert not lock.acquire(timeout=timeout)
    took = time.monotonic() - start
    assert took >= timeout, (took, timeout)
# And to its end, if somebody releases it.
for _ in range(20):
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire(timeout=30)
done.set()
for thread in rainers:
    thread.join()
assert handled > 100, handled

# A handler that raises ends the wait, and leaves the lock as it was.
signal.signal(signal.SIGUSR2, stop)
for _ in range(100):
    timer = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGUSR2))
    try:
        timer.start()
        lock.acquire()
    except Stop:
        assert lock.locked()
    else:
        raise AssertionError("the handler's exception was lost")
    timer.join()
lock.release()
