# Forks while threads are parked on locks: each child must be able to use locks of its own, those
# that the parent's threads wait on, and threads.
import os
import threading

FORKS = 200
held = [threading.Lock() for _ in range(8)]
for lock in held:
    lock.acquire()
event = threading.Event()
rlock = threading.RLock()


def wait_for(lock):
    with lock:
        pass


threads = [threading.Thread(target=wait_for, args=(held[n % 8],)) for n in range(16)]
threads += [threading.Thread(target=event.wait) for _ in range(8)]
for thread in threads:
    thread.start()


def child():
    shared = {}
    with rlock, threading.Lock():
        # Locked when the fork came, and so locked here; its waiters are gone.
        assert not held[0].acquire(timeout=0.001)
        for lock in held:
            lock.release()
        for lock in held:
            assert lock.acquire(timeout=10)
    def work(n):
        for i in range(50):
            shared[i] = shared.get(i, 0) + n
    own = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in own:
        thread.start()
    for thread in own:
        thread.join(30)
        assert not thread.is_alive()


for n in range(FORKS):
    pid = os.fork()
    if pid == 0:
        try:
            child()
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"fork {n}: status {status:#x}"

event.set()
for lock in held:
    lock.release()
for thread in threads:
    thread.join(60)
    assert not thread.is_alive()
