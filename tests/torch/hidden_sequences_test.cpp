// The sequences of a module with a state: how they begin and end, what leaves them as they were,
// and who may come when.
#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/testing/manual_executor.hpp>

#include "hidden_state.hpp"
#include <support/allocations.hpp>
#include <support/batching.hpp>

#include <atomic>
#include <chrono>
#include <random>
#include <stop_token>
#include <thread>

using galley::EndSequence;
using galley::Freeze;
using galley::ResetSequence;
using galley::SequenceStart;
using galley::SequenceStatistics;
using galley::StartSequence;
using namespace hidden;
using namespace std::chrono_literals;

namespace {

SequenceStatistics statistics_of(const Stateful& model) {
  SequenceStatistics statistics;
  CHECK(model.control("", statistics).has_value());
  return statistics;
}

/// Adds a row to what was, and only then refuses one that begins with 77.
Module fragile() {
  return module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h.add_(x)\n"
      "    self.n = self.n + 1\n"
      "    assert bool(x[0, 0] != 77.0), 'not that one'\n"
      "    return self.h * float(self.n)\n",
      {{"h", at::zeros({1, width})}}, {{"n", c10::IntType::get(), std::int64_t{0}}});
}

Tensor all(float value) {
  return models::row({value, value, value, value, value, value});
}

}  // namespace

TEST_CASE(
    "interleaved sequences are each what it is alone, also behind batched and when some are "
    "cancelled",
    "[torch][state]") {
  const std::uint32_t seed = 20261126;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const galley::ManualExecutor executor;
  const Stateful together = galley::batched(executor, served(by_assignment(), options()),
                                            support::always_queued, galley::SizeOrDelay{5, 0ns});
  Bare alone(by_assignment());
  std::vector<support::BatchEar<Tensor>> ears(150);
  std::vector<std::stop_source> stops(ears.size());
  std::vector<Key> keys;
  for (std::size_t i = 0; i < ears.size(); ++i) keys.push_back(random() % 5);
  for (std::size_t i = 0; i < ears.size(); ++i) {
    together.submit(row_of(static_cast<std::int64_t>(i)), {.stop = stops[i].get_token()},
                    ears[i].listen(), {.keys = std::span(&keys[i], 1)});
    if (random() % 8 == 0) stops[i].request_stop();  // queued
    if (random() % 6 == 0) executor.run_ready();
  }
  executor.run_ready();
  int cancelled = 0;
  for (std::size_t i = 0; i < ears.size(); ++i) {
    CAPTURE(i);
    REQUIRE(ears[i].answers == 1);
    if (ears[i].status() == Status::cancelled) {
      ++cancelled;
    } else {
      CHECK(ears[i].value() == alone(keys[i], row_of(static_cast<std::int64_t>(i))));
    }
  }
  CHECK(cancelled > 5);
}

TEST_CASE("a batch holds rows of many sequences, several of one in their order", "[torch][state]") {
  const Stateful model = served(in_place(), options());
  Bare bare(in_place());
  Rows<Tensor> rows;
  const std::vector<Key> keys{3, 1, 3, 3, 2, 1};
  for (std::int64_t i = 0; i < 6; ++i) rows.push_back(row_of(i));
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  REQUIRE(outcomes.all_ok());
  for (std::size_t i = 0; i < 6; ++i) CHECK(*outcomes[i] == bare(keys[i], rows[i]));
  const auto chosen =
      model.serve_rows(rows.slice(2, 3), {}, {.keys = std::span(keys).subspan(2, 3)});
  for (std::size_t i = 0; i < 3; ++i) CHECK(*chosen[i] == bare(keys[i + 2], rows[i + 2]));
  CHECK(model.serve_rows(Rows<Tensor>(), {}, {}).size() == 0);
}

TEST_CASE("a row that fails leaves its sequence as it was", "[torch][state]") {
  for (const Freeze freeze : {Freeze::yes, Freeze::no}) {
    ScriptOptions how = options();
    how.freeze = freeze;
    const Stateful model = served(fragile(), how);
    CHECK(*step(model, 1, all(2)) == all(2));
    const Result<Tensor> failed = step(model, 1, all(77));
    CHECK(failed.status() == Status::internal);
    CHECK(failed.error().detail.find("not that one") != std::string::npos);
    CHECK(step(model, 1, models::row({1, 2})).status() == Status::invalid_argument);
    std::stop_source stop;
    stop.request_stop();
    CHECK(step(model, 1, all(1), {.stop = stop.get_token()}).status() == Status::cancelled);
    const galley::ManualExecutor executor;
    const auto now = galley::Executor(executor).now();
    executor.advance(1s);
    CHECK(step(model, 1, all(1), {.deadline = now}).status() == Status::deadline_exceeded);
    CHECK(*step(model, 1, all(3)) == all(10));

    const Rows<Tensor> rows{all(1), all(77), all(1)};
    const std::array<Key, 3> keys{1, 1, 1};
    const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
    CHECK(*outcomes[0] == all(18));
    CHECK(outcomes[1].status() == Status::internal);
    CHECK(*outcomes[2] == all(28));
  }
}

TEST_CASE("a row that comes to be late while others of its batch are computed is not computed",
          "[torch][state]") {
  const Stateful model = served(fragile(), options());
  // Each time it is looked at, a nanosecond has passed.
  const auto looked = std::make_shared<std::int64_t>(0);
  const galley::Clock clock(
      [](const void* state) {
        auto& now = *static_cast<std::int64_t*>(const_cast<void*>(state));
        return galley::TimePoint(std::chrono::nanoseconds(++now));
      },
      looked);
  const galley::Context context{.deadline = {galley::TimePoint(4ns), clock}};
  const Rows<Tensor> rows{all(1), all(1), all(1), all(1)};
  const std::array<Key, 4> keys{1, 1, 1, 1};
  const auto outcomes = model.serve_rows(rows, context, {.keys = keys});
  CHECK(outcomes[0].has_value());
  CHECK(outcomes[3].status() == Status::deadline_exceeded);
  const std::size_t computed = outcomes.survivors().size();
  const auto next = static_cast<float>(computed + 1);
  CHECK(*step(model, 1, all(1)) == all(next * next));
}

TEST_CASE("an answer that is no row fails, and leaves its sequence as it was", "[torch][state]") {
  const Module made = module(
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    self.h = self.h + x\n"
      "    return self.h if bool(x[0, 0] < 5.0) else torch.cat([self.h, self.h])\n",
      {{"h", at::zeros({1, width})}});
  const Stateful model = served(made, options());
  CHECK(*step(model, 1, all(2)) == all(2));
  const Result<Tensor> twice = step(model, 1, all(6));
  CHECK(twice.status() == Status::internal);
  CHECK(twice.error().detail.find("expected 1 row, got 2") != std::string::npos);
  CHECK(*step(model, 1, all(1)) == all(3));
}

TEST_CASE("rows need a key, and what its inputs refuse begins no sequence", "[torch][state]") {
  const Stateful model = served(fragile(), options({.max_sequences = 2}));
  const Result<Tensor> without = model.serve(all(1));
  CHECK(without.status() == Status::invalid_argument);
  CHECK(without.error().detail.find("got no keys") != std::string::npos);
  const Rows<Tensor> rows{all(1), models::row({1}), all(2), all(3)};
  const std::array<Key, 4> keys{1, 2, 3, 4};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(*outcomes[0] == all(1));
  CHECK(outcomes[1].status() == Status::invalid_argument);
  CHECK(*outcomes[2] == all(2));
  CHECK(outcomes[3].status() == Status::resource_exhausted);
  CHECK(statistics_of(model).sequences == 2);
  CHECK(statistics_of(model).refused == 1);
}

TEST_CASE("a module's sequence begins anew after a reset and an end", "[torch][state]") {
  Module made = fragile();
  made.define(
      "def reset(self, value: float = 5.0) -> None:\n    self.h.fill_(value)\n"
      "    self.n = 1\n");
  const Stateful model = served(made, options({.reset = "reset"}));
  CHECK(*step(model, 1, all(1)) == all(12));
  CHECK(*step(model, 1, all(1)) == all(21));
  CHECK(*step(model, 2, all(0)) == all(10));
  ResetSequence reset{1};
  REQUIRE(model.control("", reset).has_value());
  CHECK(*step(model, 1, all(2)) == all(14));
  CHECK(*step(model, 2, all(0)) == all(15));
  EndSequence end{1};
  REQUIRE(model.control("", end).has_value());
  CHECK(model.control("", end).status() == Status::not_found);
  CHECK(model.control("", reset).status() == Status::not_found);
  CHECK(*step(model, 1, all(3)) == all(16));
  CHECK(statistics_of(model).started == 3);
  CHECK(statistics_of(model).ended == 1);
  galley::TorchStatistics calls;
  CHECK(model.control("", calls).has_value());
  galley::FormProfile profile;
  CHECK(model.control("", profile).status() == Status::unimplemented);
}

TEST_CASE("where a module's sequences have to be started, others are refused alone",
          "[torch][state]") {
  const Stateful model = served(fragile(), options({.start = SequenceStart::asked}));
  StartSequence start{5};
  REQUIRE(model.control("", start).has_value());
  CHECK(model.control("", start).status() == Status::failed_precondition);
  const Rows<Tensor> rows{all(1), all(2), all(3)};
  const std::array<Key, 3> keys{5, 6, 5};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(*outcomes[0] == all(1));
  CHECK(outcomes[1].status() == Status::not_found);
  CHECK(*outcomes[2] == all(8));
}

TEST_CASE("a module's sequences are bounded, and expire", "[torch][state]") {
  const galley::ManualExecutor executor;
  const galley::Clock clock = galley::Executor(executor).now().clock;
  const Stateful model =
      served(fragile(), options({.max_sequences = 2, .expiry = 10s, .clock = clock}));
  CHECK(*step(model, 1, all(1)) == all(1));
  executor.advance(6s);
  CHECK(*step(model, 2, all(1)) == all(1));
  CHECK(step(model, 3, all(1)).status() == Status::resource_exhausted);
  executor.advance(6s);
  CHECK(*step(model, 3, all(1)) == all(1));  // 1 has expired
  CHECK(*step(model, 2, all(2)) == all(6));
  CHECK(statistics_of(model).expired == 1);
  executor.advance(11s);
  CHECK(*step(model, 2, all(3)) == all(3));  // begun anew
}

TEST_CASE("several threads step sequences of their own, and one they share", "[torch][state]") {
  const Stateful model = served(in_place(), options());
  const Stateful counting = served(fragile(), options());
  Bare bare(in_place());
  std::vector<std::vector<Tensor>> wanted(2);
  for (Key key = 0; key < 2; ++key) {
    for (std::int64_t i = 0; i < 40; ++i)
      wanted[key].push_back(bare(key, row_of(i + 50 * static_cast<std::int64_t>(key))));
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (Key key = 0; key < 2; ++key) {
    threads.emplace_back([&, key] {
      (void)galley::prepare_thread();
      for (std::int64_t i = 0; i < 40; ++i) {
        const Result<Tensor> answer =
            step(model, key, row_of(i + 50 * static_cast<std::int64_t>(key)));
        if (!answer.has_value() || *answer != wanted[key][static_cast<std::size_t>(i)]) ++wrong;
        if (!step(counting, 9, all(1)).has_value()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(*step(counting, 9, all(0)) == all(80 * 81));  // each of 80 rows counted once
}

TEST_CASE("a sequence takes memory for its state and little else, and gives it back",
          "[torch][state]") {
  const Stateful model = served(in_submodule(), options({.max_sequences = 1000}));
  const auto start_and_end = [&model](Key key) {
    StartSequence start{key};
    EndSequence end{key};
    return model.control("", start).has_value() && model.control("", end).has_value();
  };
  const auto live = [] { return support::allocations() - support::releases(); };
  const auto begin = [&model](Key key) {
    StartSequence start{key};
    return model.control("", start).has_value();
  };
  bool good = start_and_end(1) && step(model, 1, row_of(1)).has_value();
  const std::size_t before = live();
  for (Key key = 10; key < 100010; ++key) good = good && start_and_end(key);
  CHECK(good);
  CHECK(live() <= before + 2);

  constexpr std::size_t sequences = 500;
  const std::size_t bytes = support::allocated_bytes();
  for (Key key = 10; key < 10 + sequences; ++key) good = good && begin(key);
  CHECK((support::allocated_bytes() - bytes) / sequences < 2048);
  for (Key key = 10; key < 10 + sequences; ++key) {
    good = good && step(model, key, row_of(1)).has_value();
  }
  CHECK(good);
  const std::size_t blocks = (live() - before) / sequences;
  CHECK(blocks > 3);
  CHECK(blocks < 20);
}

TEST_CASE("a state that is a small part of a row does not keep the row", "[torch][state]") {
  const std::int64_t length = 1000;
  const int hidden_for = 100;  // steps, so that no sample row tells it from the module itself
  const auto pair = c10::TupleType::create({c10::TensorType::get(), c10::IntType::get()});
  const at::Tensor zeros = at::zeros({1, 2});
  c10::List<at::Tensor> list;
  list.push_back(zeros.clone());
  c10::Dict<std::string, at::Tensor> dict;
  dict.insert("tail", zeros.clone());
  for (const auto& [kept, assign] : std::vector<std::pair<std::string, std::string>>{
           {"self.tail", "self.tail = x[:, -2:]"},
           {"self.pair[0]", "self.pair = (x[:, -2:], 1)"},
           {"self.list[0]", "self.list[0] = x[:, -2:]"},
           {"self.dict['tail']", "self.dict['tail'] = x[:, -2:]"}}) {
    CAPTURE(kept);
    const Module made = module(
        "def forward(self, x: Tensor) -> Tensor:\n"
        "    first = x[:, :1] * 0.0\n"
        "    if self.steps >= " +
            std::to_string(hidden_for) +
            ":\n"
            "        first = torch.as_strided(" +
            kept +
            ", [1, 1], [1, 1], 0)\n"  // of all that is kept
            "    self.steps += 1\n    " +
            assign + "\n    return first\n",
        {{"tail", zeros.clone()}},
        {{"steps", c10::IntType::get(), std::int64_t{0}},
         {"pair", pair, c10::ivalue::Tuple::create(zeros, std::int64_t{0})},
         {"list", c10::ListType::ofTensors(), list.copy()},
         {"dict", c10::IValue(dict).type(), dict.copy()}});
    ScriptOptions how = options();
    how.inputs = {{"x", f32, {length}}};
    const Stateful model = served(made, how);
    const Tensor row = models::rows(at::arange(length, at::kFloat).unsqueeze(0))[0];
    for (int n = 0; n < hidden_for; ++n) REQUIRE(*step(model, 1, row) == models::row({0}));
    CHECK(*step(model, 1, row) == models::row({998}));
  }
}
