#include <galley/core/context.hpp>
#include <galley/core/pins.hpp>
#include <galley/core/row_algebra.hpp>

#include <support/allocations.hpp>
#include <support/clock.hpp>

#include <chrono>
#include <random>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Batch;
using galley::BatchContext;
using galley::Context;
using galley::ContextSelection;
using galley::Instant;
using galley::Key;
using galley::Outcomes;
using galley::OwnedBatchContext;
using galley::RequestRun;
using galley::RowIndex;
using galley::Rows;
using galley::Status;
using support::AllocationCount;
using support::HandClock;
using namespace std::chrono_literals;

namespace {

std::vector<std::uint64_t> ids(const BatchContext& context) {
  std::vector<std::uint64_t> all;
  for (std::size_t i = 0; i < context.rows(); ++i) all.push_back(context.context_of(i).request_id);
  return all;
}

std::vector<Key> keys(const BatchContext& context) {
  return {context.keys().begin(), context.keys().end()};
}

}  // namespace

TEST_CASE("a deadline only narrows", "[context]") {
  HandClock clock;
  const Context open;
  CHECK(open.deadline.is_never());
  const Context soon = open.within(clock.now() + 5ms);
  CHECK(soon.deadline == clock.now() + 5ms);
  CHECK(soon.within(clock.now() + 9ms).deadline == clock.now() + 5ms);
  CHECK(soon.within(clock.now() + 2ms).deadline == clock.now() + 2ms);
  CHECK(soon.within(Instant()).deadline == clock.now() + 5ms);
}

TEST_CASE("a request lives until its deadline or until it is stopped", "[context]") {
  HandClock clock;
  std::stop_source stop;
  const Context context{.deadline = clock.now() + 5ms, .stop = stop.get_token()};
  CHECK(context.live() == Status::ok);
  clock.advance(5ms - 1ns);
  CHECK(context.live() == Status::ok);
  clock.advance(1ns);
  CHECK(context.live() == Status::deadline_exceeded);
  stop.request_stop();
  CHECK(context.live() == Status::cancelled);
  CHECK(Context().live() == Status::ok);
}

TEST_CASE("a batch of one request has one run, with a key per row or none", "[context]") {
  const Context context{.request_id = 4};
  const BatchContext plain(context, 3);
  CHECK(plain.is_single());
  CHECK(plain.is_uniform());
  CHECK(plain.rows() == 3);
  CHECK(plain.keys().empty());
  CHECK(&plain.context_of(2) == &context);
  CHECK(plain.resized(2).rows() == 2);
  const std::vector<Key> row_keys{7, 8, 9};
  const BatchContext keyed(context, 3, row_keys);
  CHECK(keyed.is_single());
  CHECK_FALSE(keyed.is_uniform());
  CHECK(keys(keyed) == row_keys);
}

TEST_CASE("a merged batch knows whose each row is", "[context]") {
  const Context a{.request_id = 1}, b{.request_id = 2}, c{.request_id = 3};
  const std::vector<RequestRun> runs{{&a, 2}, {&b, 1}, {&c, 2}};
  const BatchContext merged(runs, {});
  CHECK_FALSE(merged.is_single());
  CHECK(merged.rows() == 5);
  CHECK(ids(merged) == std::vector<std::uint64_t>{1, 1, 2, 3, 3});
  const BatchContext copy = merged;
  CHECK(ids(copy) == ids(merged));
  const std::vector<RequestRun> one{{&b, 2}};
  CHECK(BatchContext(one, {}).is_single());
  CHECK(ids(BatchContext(one, {})) == std::vector<std::uint64_t>{2, 2});
}

TEST_CASE("choosing rows of a uniform batch copies nothing", "[context]") {
  const Context context{.request_id = 4};
  const std::vector<RowIndex> rows{0, 2};
  const AllocationCount count;
  const ContextSelection some(BatchContext(context, 3), rows);
  CHECK(some.view().rows() == 2);
  CHECK(some.view().is_uniform());
  CHECK(&some.view().context() == &context);
  CHECK(count.so_far() == 0);
}

TEST_CASE("choosing no rows of any batch is a context of no rows", "[context]") {
  const Context a, b;
  const std::vector<RequestRun> runs{{&a, 1}, {&b, 1}};
  const std::vector<Key> row_keys{1, 2};
  const ContextSelection none(BatchContext(runs, row_keys), {});
  CHECK(none.view().rows() == 0);
  CHECK(none.view().keys().empty());
}

TEST_CASE("chosen rows keep their own request and key", "[context]") {
  const unsigned seed = 9;
  std::mt19937 random(seed);
  CAPTURE(seed);
  std::vector<Context> contexts(4);
  for (std::size_t i = 0; i < 4; ++i) contexts[i].request_id = i + 1;
  for (int round = 0; round < 500; ++round) {
    std::vector<RequestRun> runs;
    std::vector<Key> row_keys;
    for (std::size_t i = 0, n = 1 + random() % 4; i < n; ++i) {
      runs.push_back({&contexts[i], static_cast<RowIndex>(random() % 3)});
      for (RowIndex k = 0; k < runs.back().rows; ++k) row_keys.push_back(random() % 100);
    }
    const bool keyed = random() % 2 == 0 && !row_keys.empty();
    const BatchContext all(runs, keyed ? std::span<const Key>(row_keys) : std::span<const Key>());
    std::vector<RowIndex> rows;
    std::vector<std::uint64_t> expected_ids;
    std::vector<Key> expected_keys;
    for (std::size_t i = 0; i < all.rows(); ++i) {
      if (random() % 2 == 0) continue;
      rows.push_back(static_cast<RowIndex>(i));
      expected_ids.push_back(all.context_of(i).request_id);
      if (keyed) expected_keys.push_back(row_keys[i]);
    }
    const ContextSelection chosen(all, rows);
    CAPTURE(round);
    REQUIRE(chosen.view().rows() == rows.size());
    REQUIRE(ids(chosen.view()) == expected_ids);
    REQUIRE(keys(chosen.view()) == expected_keys);
    REQUIRE(chosen.view().runs().size() <= runs.size());
  }
}

TEST_CASE("each request's rows expire by their own deadline", "[context]") {
  HandClock clock;
  std::stop_source stop;
  const Context soon{.deadline = clock.now() + 1ms};
  const Context late{.deadline = clock.now() + 9ms};
  const Context stopped{.stop = stop.get_token()};
  const Context open;
  const std::vector<RequestRun> runs{{&late, 1}, {&soon, 2}, {&open, 1}, {&stopped, 1}};
  const BatchContext merged(runs, {});
  CHECK(galley::expired_rows(merged).empty());
  clock.advance(2ms);
  stop.request_stop();
  const auto expired = galley::expired_rows(merged);
  REQUIRE(expired.size() == 3);
  CHECK(expired.find(1)->status == Status::deadline_exceeded);
  CHECK(expired.find(2)->status == Status::deadline_exceeded);
  CHECK(expired.find(4)->status == Status::cancelled);
}

TEST_CASE("a request without a deadline reads no clock", "[context]") {
  HandClock clock;
  const Context open{.deadline = {.at = galley::TimePoint::max(), .clock = clock.now().clock}};
  CHECK(galley::expired_rows(BatchContext(open, 5)).empty());
  CHECK(clock.reads() == 0);
}

TEST_CASE("expired rows are answered without being served, their neighbours are served",
          "[context]") {
  HandClock clock;
  const Context soon{.deadline = clock.now() + 1ms, .request_id = 1};
  const Context open{.request_id = 2};
  const std::vector<RequestRun> runs{{&soon, 1}, {&open, 2}, {&soon, 1}};
  const std::vector<Key> row_keys{10, 11, 12, 13};
  const BatchContext merged(runs, row_keys);
  const Rows<int> rows{100, 101, 102, 103};
  int calls = 0;
  const auto serve = [&](const Batch<int>& live, const BatchContext& context) {
    ++calls;
    CHECK(live.size() == context.rows());
    CHECK(keys(context) == std::vector<Key>{11, 12});
    CHECK(ids(context) == std::vector<std::uint64_t>{2, 2});
    return Outcomes<int>(live.to_rows());
  };
  clock.advance(1ms);
  const Outcomes<int> outcomes = galley::serve_live<int>(Batch<int>(rows), merged, serve);
  CHECK(calls == 1);
  REQUIRE(outcomes.size() == 4);
  CHECK(outcomes[0].status() == Status::deadline_exceeded);
  CHECK(*outcomes[1] == 101);
  CHECK(*outcomes[2] == 102);
  CHECK(outcomes[3].status() == Status::deadline_exceeded);

  const Outcomes<int> none =
      galley::serve_live<int>(Batch<int>(rows), BatchContext(soon, 4), serve);
  CHECK(calls == 1);
  CHECK(none.size() == 4);
  CHECK(none.survivors().empty());
}

TEST_CASE("an owned context outlives what it was copied from", "[context]") {
  OwnedBatchContext owned;
  {
    const Context a{.request_id = 1}, b{.request_id = 2};
    const std::vector<RequestRun> runs{{&a, 2}, {&b, 1}};
    const std::vector<Key> row_keys{7, 8, 9};
    owned.assign(BatchContext(runs, row_keys));
  }
  CHECK(ids(owned.view()) == std::vector<std::uint64_t>{1, 1, 2});
  CHECK(keys(owned.view()) == std::vector<Key>{7, 8, 9});
  owned.assign(BatchContext(Context{.request_id = 5}, 2));
  CHECK(ids(owned.view()) == std::vector<std::uint64_t>{5, 5});
  CHECK(owned.view().is_uniform());
  CHECK(owned.view().pins() == nullptr);
}

TEST_CASE("owning the context of one request with one key allocates nothing", "[context]") {
  OwnedBatchContext owned;
  const Context context{.request_id = 5};
  const Key key = 3;
  const AllocationCount count;
  owned.assign(BatchContext(context, 1, std::span(&key, 1)));
  CHECK(count.so_far() == 0);
  CHECK(keys(owned.view()) == std::vector<Key>{3});
}

TEST_CASE("an owned context leaves lent memory behind and keeps pins", "[context]") {
  const auto pins = std::make_shared<const galley::Pins>();
  const Context context;
  OwnedBatchContext owned;
  owned.assign(BatchContext(context, 1, {}, std::pmr::new_delete_resource(), &pins));
  CHECK(owned.view().workspace() == nullptr);
  CHECK(owned.view().pins() == pins.get());
  CHECK(pins.use_count() == 2);
  owned.clear();
  CHECK(pins.use_count() == 1);
}
