#include <galley/core/epoch.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <support/catch.hpp>

using galley::EpochDomain;

TEST_CASE("an epoch passes at once where every reader is parked", "[core]") {
  EpochDomain domain(3);
  CHECK(domain.readers() == 3);
  CHECK(domain.passed(domain.advance()));
}

TEST_CASE("an epoch passes once every reader was quiescent in it or parked", "[core]") {
  EpochDomain domain(2);
  domain.enter(0);
  domain.enter(1);
  const std::uint64_t epoch = domain.advance();
  CHECK_FALSE(domain.passed(epoch));
  domain.quiescent(0);
  CHECK_FALSE(domain.passed(epoch));
  SECTION("by being quiescent") {
    domain.quiescent(1);
  }
  SECTION("by parking") {
    domain.leave(1);
  }
  SECTION("by parking and coming back") {
    domain.leave(1);
    domain.enter(1);
  }
  CHECK(domain.passed(epoch));
}

TEST_CASE("a reader that enters after an epoch began does not hold it up", "[core]") {
  EpochDomain domain(1);
  const std::uint64_t epoch = domain.advance();
  domain.enter(0);
  CHECK(domain.passed(epoch));
  CHECK_FALSE(domain.passed(domain.advance()));
}

TEST_CASE("being quiescent before an epoch does not count for it", "[core]") {
  EpochDomain domain(1);
  domain.enter(0);
  domain.quiescent(0);
  const std::uint64_t epoch = domain.advance();
  CHECK_FALSE(domain.passed(epoch));
}

TEST_CASE("a version is destroyed only when no reader holds it", "[core][soak]") {
  constexpr std::size_t readers = 2;
  constexpr int rounds = 10000;
  struct Version {
    explicit Version(int n) : first(n), second(n) {}
    ~Version() { first = second = -1; }
    int first;
    int second;
  };
  EpochDomain domain(readers);
  std::atomic<Version*> current{new Version(0)};
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::atomic<std::size_t> reading{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < readers; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; !stop.load(); ++n) {
        domain.enter(i);
        if (n == 0) ++reading;
        for (int reads = 0; reads < 4; ++reads) {
          const Version* version = current.load(std::memory_order_acquire);
          if (version->first < 0 || version->first != version->second) ++torn;
          if (n % 2 == 0) domain.quiescent(i);
        }
        domain.leave(i);
        std::this_thread::yield();
      }
    });
  }
  while (reading != readers) std::this_thread::yield();
  for (int n = 1; n <= rounds; ++n) {
    const std::unique_ptr<Version> old(current.exchange(new Version(n)));
    const std::uint64_t epoch = domain.advance();
    while (!domain.passed(epoch)) std::this_thread::yield();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  delete current.load();
  CHECK(torn == 0);
}
