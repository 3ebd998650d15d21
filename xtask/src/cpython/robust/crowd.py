# A thousand threads on one lock, on shared containers, and on a condition.
import threading

THREADS = 1000
lock = threading.Lock()
condition = threading.Condition()
shared_list, shared_dict = [], {}
count = arrived = 0


def work(n):
    global count, arrived
    for _ in range(20):
        with lock:
            count += 1
    shared_list.append(n)
    shared_dict[n] = n
    with condition:
        arrived += 1
        condition.notify_all()
        condition.wait_for(lambda: arrived == THREADS)


threading.stack_size(256 * 1024)
threads = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(240)
    assert not thread.is_alive()
assert count == 20 * THREADS
assert sorted(shared_list) == list(range(THREADS))
assert len(shared_dict) == THREADS
