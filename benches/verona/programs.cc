// The programs of `lockbench boc` on verona-rt: see README.md. Prints how many behaviours ran, in how many
// seconds, and how many seconds of processor time that took.

#include <array>
#include <atomic>
#include <cpp/when.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

using namespace verona::cpp;
using verona::rt::Scheduler;
using Number = cown_ptr<uint64_t>;
using HeldNumber = acquired_cown<uint64_t>;

struct Moment
{
  double time, processor;
};

static Moment began, ended;
static std::atomic<size_t> left_to_arrive;

static Moment now()
{
  auto read = [](clockid_t clock) {
    timespec time;
    clock_gettime(clock, &time);
    return double(time.tv_sec) + double(time.tv_nsec) / 1e9;
  };
  return {read(CLOCK_MONOTONIC), read(CLOCK_PROCESS_CPUTIME_ID)};
}

static void arrive()
{
  if (left_to_arrive.fetch_sub(1, std::memory_order_acq_rel) == 1)
    ended = now();
}

static uint32_t next_random(uint32_t& state)
{
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static uint32_t seed(size_t id)
{
  return uint32_t(id + 1) * 0x9E3779B9u;
}

/// One unit is a multiplication and an addition that wait for the last ones.
static void work(uint32_t units)
{
  double value = 1.0;
  asm volatile("" : "+x"(value));
  for (uint32_t i = 0; i < units; i++)
    value = value * 0.999 + 1.0;
  asm volatile("" : : "x"(value));
}

enum class By
{
  outside,
  one
};

/// Calls `feed` in one behaviour, or on a thread that is no worker.
template<typename Feed>
static void start(By by, size_t ends, Feed feed)
{
  left_to_arrive = ends;
  if (by == By::one)
  {
    when() << [feed = std::move(feed)]() {
      began = now();
      feed();
    };
    return;
  }
  when() << [feed = std::move(feed)]() {
    Scheduler::add_external_event_source();
    std::thread([feed = std::move(feed)]() {
      began = now();
      feed();
      when() << []() { Scheduler::remove_external_event_source(); };
    }).detach();
  };
}

static uint64_t count(By by, uint64_t n)
{
  start(by, 1, [=, counter = make_cown<uint64_t>(0)]() {
    for (uint64_t i = 0; i < n; i++)
      when(counter) << [n](HeldNumber counter) {
        if (++*counter == n)
          arrive();
      };
  });
  return n + (by == By::one);
}

static std::vector<Number> numbers(size_t cowns, uint64_t value = 0)
{
  std::vector<Number> all;
  for (size_t i = 0; i < cowns; i++)
    all.push_back(make_cown<uint64_t>(value));
  return all;
}

static uint64_t round_robin(By by, size_t cowns, uint64_t n)
{
  uint64_t each = n / cowns;
  start(by, cowns, [=, all = numbers(cowns)]() {
    for (uint64_t i = 0; i < each; i++)
      for (auto& cown : all)
        when(cown) << [each](HeldNumber counter) {
          if (++*counter == each)
            arrive();
        };
  });
  return each * cowns + (by == By::one);
}

static uint64_t pairs(By by, size_t cowns, uint64_t n)
{
  uint64_t each = n / cowns;
  start(by, cowns, [=, all = numbers(cowns)]() {
    for (uint64_t i = 0; i < each; i++)
      for (size_t j = 0; j < cowns; j++)
        when(all[j], all[(j + 1) % cowns]) << [each](HeldNumber a, HeldNumber b) {
          if (++*a == 2 * each)
            arrive();
          if (++*b == 2 * each)
            arrive();
        };
  });
  return each * cowns + (by == By::one);
}

static void step(const Number& cown, uint32_t units)
{
  when(cown) << [units](HeldNumber left) {
    work(units);
    if (--*left > 0)
      step(left.cown(), units);
    else
      arrive();
  };
}

static uint64_t rescheduling(size_t cowns, uint64_t n, uint32_t units)
{
  uint64_t each = n / cowns;
  start(By::one, cowns, [=, all = numbers(cowns, each)]() {
    for (auto& cown : all)
      step(cown, units);
  });
  return each * cowns;
}

static void step_pair(const Number& a, const Number& b, uint64_t left)
{
  when(a, b) << [left](HeldNumber a, HeldNumber b) {
    ++*a;
    ++*b;
    if (left > 1)
      step_pair(a.cown(), b.cown(), left - 1);
    else
      arrive();
  };
}

static uint64_t rescheduling_pairs(size_t cowns, uint64_t n)
{
  uint64_t each = n / cowns;
  start(By::one, cowns, [=, all = numbers(cowns)]() {
    for (size_t i = 0; i < cowns; i++)
      step_pair(all[i], all[(i + 1) % cowns], each);
  });
  return each * cowns;
}

static void hit(Number to, Number back, uint64_t left)
{
  when(to) << [back = std::move(back), left](HeldNumber hits) mutable {
    ++*hits;
    if (left > 1)
      hit(std::move(back), hits.cown(), left - 1);
    else
      arrive();
  };
}

static uint64_t ping_pong(uint64_t n)
{
  start(By::one, 1, [=]() { hit(make_cown<uint64_t>(0), make_cown<uint64_t>(0), n); });
  return n;
}

static uint64_t create(uint64_t n)
{
  start(By::one, 1, [=]() {
    auto total = make_cown<std::pair<uint64_t, uint64_t>>(0, 0);
    for (uint64_t i = 0; i < n; i++)
      when(make_cown<uint64_t>(i)) << [total, n](HeldNumber value) mutable {
        uint64_t square = *value * *value;
        when(std::move(total)) << [square, n](acquired_cown<std::pair<uint64_t, uint64_t>> total) {
          total->second += square;
          if (++total->first == n)
            arrive();
        };
      };
  });
  return 2 * n;
}

static Number tree(uint64_t n)
{
  if (n <= 2)
    return make_cown<uint64_t>(1);
  auto a = tree(n - 1);
  when(a, tree(n - 2)) << [](HeldNumber a, HeldNumber b) { *a += *b; };
  return a;
}

static uint64_t fib(uint64_t n)
{
  uint64_t a = 1, b = 1;
  for (uint64_t i = 2; i < n; i++)
    b = std::exchange(a, b) + b;
  start(By::one, 1, [n, b]() {
    when(tree(n)) << [b](HeldNumber result) {
      if (*result != b)
        abort();
      arrive();
    };
  });
  return b + 1;
}

static uint64_t banking(uint64_t n, uint32_t units)
{
  start(By::one, 1, [=]() {
    using Held = acquired_cown<int64_t>;
    std::vector<cown_ptr<int64_t>> accounts;
    for (size_t i = 0; i < 1000; i++)
      accounts.push_back(make_cown<int64_t>(1000000));
    auto teller = make_cown<uint64_t>(0);
    auto state = seed(0);
    for (uint64_t i = 0; i < n; i++)
    {
      size_t source = next_random(state) % accounts.size();
      size_t target = (source + 1 + next_random(state) % (accounts.size() - 1)) % accounts.size();
      when(accounts[source], accounts[target]) << [teller, n, units](Held source, Held target) mutable {
        work(units);
        *source -= 10;
        *target += 10;
        when(std::move(teller)) << [n](HeldNumber done) {
          if (++*done == n)
            arrive();
        };
      };
    }
  });
  return 2 * n;
}

struct Philosopher
{
  Number left, right;
  uint64_t hunger;

  Philosopher(Number left, Number right, uint64_t hunger) : left(left), right(right), hunger(hunger) {}
};

static void think(cown_ptr<Philosopher> philosopher, uint32_t units)
{
  when(std::move(philosopher)) << [units](acquired_cown<Philosopher> philosopher) {
    if (philosopher->hunger == 0)
      return arrive();
    philosopher->hunger--;
    when(philosopher->left, philosopher->right)
      << [again = cown_ptr<Philosopher>(philosopher.cown()), units](HeldNumber left, HeldNumber right) mutable {
           work(units);
           ++*left;
           ++*right;
           think(std::move(again), units);
         };
  };
}

static uint64_t dining(size_t philosophers, uint64_t meals, uint32_t units)
{
  start(By::one, philosophers, [=]() {
    auto forks = numbers(philosophers);
    // Every second one first: see programs.rs.
    for (size_t first : {0, 1})
      for (size_t i = first; i < philosophers; i += 2)
        think(make_cown<Philosopher>(forks[i], forks[(i + 1) % philosophers], meals), units);
  });
  return philosophers * (2 * meals + 1);
}

using Creature = cown_ptr<int>;

struct Mall
{
  uint64_t meetings;
  std::optional<Creature> waiting;

  Mall(uint64_t meetings) : meetings(meetings) {}
};

static void enter(const cown_ptr<Mall>& mall, Creature creature)
{
  when(mall) << [creature = std::move(creature)](acquired_cown<Mall> mall) mutable {
    if (mall->meetings == 0)
      return arrive();
    if (!mall->waiting)
    {
      mall->waiting = std::move(creature);
      return;
    }
    mall->meetings--;
    auto other = std::move(*mall->waiting);
    mall->waiting.reset();
    when(std::move(creature), std::move(other))
      << [mall = cown_ptr<Mall>(mall.cown())](acquired_cown<int> a, acquired_cown<int> b) {
           if (*a != *b)
             *a = *b = 3 - *a - *b;
           enter(mall, a.cown());
           enter(mall, b.cown());
         };
  };
}

static uint64_t chameneos(size_t creatures, uint64_t meetings)
{
  start(By::one, creatures, [=]() {
    auto mall = make_cown<Mall>(meetings);
    for (size_t i = 0; i < creatures; i++)
      enter(mall, make_cown<int>(int(i % 3)));
  });
  return 3 * meetings + creatures;
}

using Dictionary = std::unordered_map<uint32_t, uint32_t>;

struct Client
{
  uint64_t left;
  uint32_t random;

  Client(uint64_t left, uint32_t random) : left(left), random(random) {}
};

static void request(cown_ptr<Client> client, cown_ptr<Dictionary> dictionary)
{
  when(std::move(client)) << [dictionary = std::move(dictionary)](acquired_cown<Client> client) mutable {
    if (client->left == 0)
      return arrive();
    client->left--;
    auto random = next_random(client->random);
    auto key = random % 512;
    cown_ptr<Client> again = client.cown();
    if (random >> 16 < (1 << 16) / 10)
      when(dictionary) << [=](acquired_cown<Dictionary> held) mutable {
        (*held)[key] = random;
        request(std::move(again), held.cown());
      };
    else
      when(read(dictionary)) << [=](acquired_cown<const Dictionary> held) mutable {
        auto found = held->find(key);
        asm volatile("" : : "r"(&found) : "memory");
        request(std::move(again), std::move(dictionary));
      };
  };
}

static uint64_t dictionary(size_t clients, uint64_t requests)
{
  start(By::one, clients, [=]() {
    Dictionary all;
    for (uint32_t key = 0; key < 512; key++)
      all[key] = key;
    auto dictionary = make_cown<Dictionary>(std::move(all));
    for (size_t i = 0; i < clients; i++)
      request(make_cown<Client>(requests, seed(i)), dictionary);
  });
  return clients * (2 * requests + 1);
}

static uint64_t start_program(const std::string& name, By by, uint64_t n, uint32_t ten_micros)
{
  if (name == "count")
    return count(by, n);
  if (name == "ping-pong")
    return ping_pong(n);
  if (name == "1 cown")
    return rescheduling(1, n, 0);
  if (name == "32 cowns, 10 us")
    return rescheduling(32, n, ten_micros);
  if (name == "fork-join create")
    return create(n);
  if (name == "fork-join 60")
    return round_robin(By::one, 60, n);
  if (name == "fib")
    return fib(n);
  if (name == "banking")
    return banking(n, 0);
  if (name == "banking, 10 us")
    return banking(n, ten_micros);
  if (name == "dining")
    return dining(20, n, 0);
  if (name == "dining, 10 us")
    return dining(20, n, ten_micros);
  if (name == "chameneos")
    return chameneos(100, n);
  if (name == "dictionary")
    return dictionary(20, n);
  fprintf(stderr, "no such program: %s\n", name.c_str());
  exit(2);
}

int main(int argc, char** argv)
{
  if (argc != 7)
  {
    fprintf(stderr, "usage: %s PROGRAM outside|one|each SIZE WORKERS WINDOW_MS UNITS_IN_10_US\n", argv[0]);
    return 2;
  }
  std::string name = argv[1], by = argv[2];
  uint64_t n = strtoull(argv[3], nullptr, 10);
  size_t workers = strtoull(argv[4], nullptr, 10);
  double window = strtod(argv[5], nullptr) / 1e3;
  uint32_t ten_micros = uint32_t(strtoul(argv[6], nullptr, 10));

  auto& scheduler = Scheduler::get();
  auto run = [&](uint64_t n) {
    scheduler.init(workers);
    uint64_t behaviours;
    if (by == "each" && name == "32 cowns")
      behaviours = rescheduling(32, n, 0);
    else if (by == "each" && name == "32 pairs")
      behaviours = rescheduling_pairs(32, n);
    else if (name == "32 cowns")
      behaviours = round_robin(By::outside, 32, n);
    else if (name == "32 pairs")
      behaviours = pairs(by == "one" ? By::one : By::outside, 32, n);
    else
      behaviours = start_program(name, by == "one" ? By::one : By::outside, n, ten_micros);
    scheduler.run();
    return behaviours;
  };
  // Not timed: the first run has memory to get.
  run(name == "fib" ? 10 : n / 10 + 64);
  uint64_t behaviours = 0;
  double seconds = 0, processor = 0;
  do
  {
    behaviours += run(n);
    seconds += ended.time - began.time;
    processor += ended.processor - began.processor;
  } while (seconds < window);
  printf("%llu %.9f %.9f\n", (unsigned long long)behaviours, seconds, processor);
}
