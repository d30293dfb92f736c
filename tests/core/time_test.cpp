#include <galley/core/time.hpp>

#include <chrono>
#include <memory>

#include <support/catch.hpp>

using namespace std::chrono_literals;
using galley::Clock;
using galley::Instant;
using galley::TimePoint;

namespace {

Clock clock_on(std::shared_ptr<TimePoint> time) {
  return Clock([](const void* state) { return *static_cast<const TimePoint*>(state); },
               std::move(time));
}

}  // namespace

TEST_CASE("the default clock is the steady clock and never goes back", "[core]") {
  const Clock clock;
  const TimePoint first = clock.now();
  CHECK(first <= clock.now());
  CHECK(clock == Clock());
}

TEST_CASE("a clock of one's own is read through its state, which all copies share", "[core]") {
  auto time = std::make_shared<TimePoint>(5s);
  const Clock clock = clock_on(time);
  const Clock copy = clock;
  CHECK(clock.now() == TimePoint(5s));
  *time += 1s;
  CHECK(copy.now() == TimePoint(6s));
  CHECK(copy == clock);
  CHECK_FALSE(clock == Clock());
}

TEST_CASE("a clock keeps its state alive", "[core]") {
  std::weak_ptr<TimePoint> watched;
  Clock clock;
  {
    auto time = std::make_shared<TimePoint>(5s);
    watched = time;
    clock = clock_on(time);
  }
  CHECK(clock.now() == TimePoint(5s));
  clock = Clock();
  CHECK(watched.expired());
}

TEST_CASE("the default instant is never, and stays so whatever is added", "[core]") {
  const Instant never;
  CHECK(never.is_never());
  CHECK_FALSE(never.has_passed());
  CHECK((never + 1s).is_never());
  CHECK((never - 1s).is_never());
}

TEST_CASE("an instant beyond what a clock can show is never", "[core]") {
  const Instant soon{.at = TimePoint(1s)};
  CHECK((soon + galley::Duration::max()).is_never());
  CHECK_FALSE((soon + 1s).is_never());
}

TEST_CASE("asking whether never has passed reads no clock", "[core]") {
  int reads = 0;
  const auto count = std::shared_ptr<int>(std::shared_ptr<void>(), &reads);
  const Clock counting(
      [](const void* state) {
        ++*const_cast<int*>(static_cast<const int*>(state));
        return TimePoint(1s);
      },
      count);
  CHECK_FALSE((Instant{TimePoint::max(), counting}.has_passed()));
  CHECK(reads == 0);
  CHECK(Instant{TimePoint(1s), counting}.has_passed());
  CHECK(reads == 1);
}

TEST_CASE("an instant has passed once its own clock has reached it", "[core]") {
  auto time = std::make_shared<TimePoint>(5s);
  const Instant limit = Instant{*time, clock_on(time)} + 10ms;
  CHECK_FALSE(limit.has_passed());
  *time += 10ms - 1ns;
  CHECK_FALSE(limit.has_passed());
  *time += 1ns;
  CHECK(limit.has_passed());
}

TEST_CASE("instants on one clock are ordered by time", "[core]") {
  const Instant first{TimePoint(1s), {}};
  CHECK(first < first + 1ns);
  CHECK(first - 1ns < first);
  CHECK(first + 2s - 2s == first);
  CHECK(first < Instant());
}
