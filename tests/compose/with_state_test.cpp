// A model's state is kept for each sequence, whatever its rows come with.
#include <galley/compose/batched.hpp>
#include <galley/compose/retry.hpp>
#include <galley/compose/with_state.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <stop_token>
#include <string>
#include <vector>

#include <support/catch.hpp>

using galley::Context;
using galley::EndSequence;
using galley::f32;
using galley::Key;
using galley::NamedTensors;
using galley::Outcomes;
using galley::ResetSequence;
using galley::Result;
using galley::Rows;
using galley::SequenceStart;
using galley::SequenceStatistics;
using galley::StartSequence;
using galley::StateOptions;
using galley::Status;
using galley::Tensor;
using galley::with_state;
using namespace std::chrono_literals;

namespace {

using Model = galley::Servable<NamedTensors, NamedTensors>;
using Sizes = std::vector<std::size_t>;

Tensor number(float value) {
  return *Tensor::copy_of(std::vector<float>{value}, {1});
}
float value_of(const NamedTensors& row, const char* name) {
  return *row.find(name)->data<float>();
}
NamedTensors row_of(float value) {
  return {{"x", number(value)}};
}

/// y is 10 times the sum so far and x; fails for negative x, and for what lacks an x or a sum.
Model summing(std::shared_ptr<Sizes> sizes = std::make_shared<Sizes>()) {
  return Model("sum", [sizes](const Rows<NamedTensors>& rows) {
    sizes->push_back(rows.size());
    Rows<NamedTensors> survivors;
    galley::Casualties casualties;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const NamedTensors row = rows[i];
      const Tensor* const x = row.find("x");
      const Tensor* const sum = row.find("sum");
      if (x == nullptr || sum == nullptr || !sum->is_defined()) {
        casualties.append(i, galley::Error(Status::invalid_argument, "no x, or no sum"));
      } else if (*x->data<float>() < 0) {
        casualties.append(i, galley::Error(Status::invalid_argument, "less than nothing"));
      } else {
        const float next = 10 * *sum->data<float>() + *x->data<float>();
        survivors.push_back({{"y", number(next)}, {"next", number(next)}});
      }
    }
    return Outcomes<NamedTensors>(std::move(survivors), std::move(casualties));
  });
}

StateOptions of_sum(StateOptions options = {}) {
  options.tensors = {{"sum", "next", number(0)}};
  return options;
}

Result<float> step(const Model& model, Key key, float x, const Context& context = {}) {
  const std::array keys{key};
  const Result<NamedTensors> answer = model.serve(row_of(x), context, {.keys = keys});
  if (!answer.has_value()) return answer.error();
  CHECK(answer->size() == 1);  // the state is not handed out
  return value_of(*answer, "y");
}

}  // namespace

TEST_CASE("each sequence goes on from its own state", "[with_state]") {
  const Model model = with_state(summing(), of_sum());
  REQUIRE(model.check().has_value());
  CHECK(model.traits().stateful);
  CHECK(*step(model, 7, 1) == 1);
  CHECK(*step(model, 8, 2) == 2);
  CHECK(*step(model, 7, 3) == 13);
  CHECK(*step(model, 8, 4) == 24);
  CHECK(*step(model, 7, 5) == 135);
}

TEST_CASE("rows of different sequences are computed together, of one in their order",
          "[with_state]") {
  const auto sizes = std::make_shared<Sizes>();
  const Model model = with_state(summing(sizes), of_sum());
  const Rows<NamedTensors> rows{row_of(1), row_of(2), row_of(3), row_of(4), row_of(5), row_of(6)};
  const std::array<Key, 6> keys{1, 2, 1, 3, 1, 2};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  REQUIRE(outcomes.all_ok());
  CHECK(*sizes == Sizes{3, 2, 1});
  const std::array<float, 6> wanted{1, 2, 13, 4, 135, 26};
  for (std::size_t i = 0; i < 6; ++i) CHECK(value_of(*outcomes[i], "y") == wanted[i]);
}

TEST_CASE("interleaved sequences are each what it is alone, also behind batched", "[with_state]") {
  const std::uint32_t seed = 20261126;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const galley::ManualExecutor executor;
  const Model together = galley::batched(executor, with_state(summing(), of_sum()),
                                         support::always_queued, galley::SizeOrDelay{5, 0ns});
  const Model alone = with_state(summing(), of_sum());
  std::vector<support::BatchEar<NamedTensors>> ears(200);
  std::vector<float> wanted;
  std::vector<Key> keys;
  for (std::size_t i = 0; i < ears.size(); ++i) {
    keys.push_back(random() % 7);
    const auto x = static_cast<float>(random() % 2);
    wanted.push_back(*step(alone, keys[i], x));
    together.submit(row_of(x), {}, ears[i].listen(), {.keys = std::span(&keys[i], 1)});
    if (wanted.back() > 100) {  // small enough to be exact
      ResetSequence reset{keys[i]};
      executor.run_ready();
      CHECK(alone.control("", reset).has_value());
      CHECK(together.control(with_state(summing(), of_sum()).name(), reset).has_value());
    }
    if (random() % 4 == 0) executor.run_ready();
  }
  executor.run_ready();
  for (std::size_t i = 0; i < ears.size(); ++i) {
    CAPTURE(i);
    CHECK(value_of(ears[i].value(), "y") == wanted[i]);
  }
}

TEST_CASE("a row that fails, or is not wanted any more, leaves its sequence as it was",
          "[with_state]") {
  const Model model = with_state(summing(), of_sum());
  CHECK(*step(model, 1, 4) == 4);
  CHECK(step(model, 1, -1).status() == Status::invalid_argument);
  std::stop_source stop;
  stop.request_stop();
  CHECK(step(model, 1, 2, {.stop = stop.get_token()}).status() == Status::cancelled);
  CHECK(*step(model, 1, 5) == 45);

  const Rows<NamedTensors> rows{row_of(1), row_of(-1), row_of(3)};
  const std::array<Key, 3> keys{1, 1, 1};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(value_of(*outcomes[0], "y") == 451);
  CHECK(outcomes[1].status() == Status::invalid_argument);
  CHECK(value_of(*outcomes[2], "y") == 4513);
}

TEST_CASE("rows without a key, of other names, or with a state of their own fail alone",
          "[with_state]") {
  const Model model = with_state(summing(), of_sum());
  CHECK(model.serve(row_of(1)).status() == Status::invalid_argument);
  const NamedTensors own{{"x", number(1)}, {"sum", number(5)}};
  const NamedTensors other{{"z", number(1)}};
  const Rows<NamedTensors> rows{row_of(1), own, other, row_of(4)};
  const std::array<Key, 4> keys{1, 2, 3, 4};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(value_of(*outcomes[0], "y") == 1);
  CHECK(outcomes[1].status() == Status::invalid_argument);
  CHECK(outcomes[2].status() == Status::invalid_argument);
  CHECK(value_of(*outcomes[3], "y") == 4);
  const std::array<Key, 1> key{1};
  const auto alone = model.serve(own, {}, {.keys = key});
  CHECK(alone.error().detail.find("\"sum\" is the sequence's state") != std::string::npos);
}

TEST_CASE("a sequence begins with its initial state, again after a reset and an end",
          "[with_state]") {
  StateOptions options;
  options.tensors = {{"sum", "next", number(9)}};
  const Model model = with_state(summing(), options);
  CHECK(*step(model, 1, 1) == 91);
  CHECK(*step(model, 1, 1) == 911);
  ResetSequence reset{1};
  REQUIRE(model.control("", reset).has_value());
  CHECK(*step(model, 1, 2) == 92);
  EndSequence end{1};
  REQUIRE(model.control("", end).has_value());
  CHECK(model.control("", end).status() == Status::not_found);
  CHECK(model.control("", reset).status() == Status::not_found);
  CHECK(*step(model, 1, 3) == 93);
  SequenceStatistics statistics;
  REQUIRE(model.control("", statistics).has_value());
  CHECK(statistics.sequences == 1);
  CHECK(statistics.started == 2);
  CHECK(statistics.ended == 1);
}

TEST_CASE("where sequences have to be started, others are refused alone", "[with_state]") {
  const Model model = with_state(summing(), of_sum({.start = SequenceStart::asked}));
  StartSequence start{5};
  REQUIRE(model.control("", start).has_value());
  CHECK(model.control("", start).status() == Status::failed_precondition);
  const Rows<NamedTensors> rows{row_of(1), row_of(2), row_of(3)};
  const std::array<Key, 3> keys{5, 6, 5};
  const auto outcomes = model.serve_rows(rows, {}, {.keys = keys});
  CHECK(value_of(*outcomes[0], "y") == 1);
  CHECK(outcomes[1].status() == Status::not_found);
  CHECK(outcomes[1].error().detail.find("there is no sequence 6") != std::string::npos);
  CHECK(value_of(*outcomes[2], "y") == 13);
  CHECK(step(model, 7, 1).status() == Status::not_found);
}

TEST_CASE("sequences are bounded, and those without rows for too long make room", "[with_state]") {
  const galley::ManualExecutor executor;
  const galley::Clock clock = galley::Executor(executor).now().clock;
  const Model model =
      with_state(summing(), of_sum({.max_sequences = 2, .expiry = 10s, .clock = clock}));
  CHECK(*step(model, 1, 1) == 1);
  executor.advance(6s);
  CHECK(*step(model, 2, 1) == 1);
  CHECK(step(model, 3, 1).status() == Status::resource_exhausted);
  executor.advance(6s);
  CHECK(*step(model, 3, 1) == 1);  // 1 has expired
  CHECK(step(model, 1, 1).status() == Status::resource_exhausted);
  CHECK(*step(model, 2, 2) == 12);
  SequenceStatistics statistics;
  REQUIRE(model.control("", statistics).has_value());
  CHECK(statistics.sequences == 2);
  CHECK(statistics.expired == 1);
  CHECK(statistics.refused == 2);
  executor.advance(11s);
  CHECK(*step(model, 2, 3) == 3);  // begun anew
}

TEST_CASE("an expired sequence that had to be started is unknown", "[with_state]") {
  const galley::ManualExecutor executor;
  const galley::Clock clock = galley::Executor(executor).now().clock;
  const Model model =
      with_state(summing(), of_sum({.start = SequenceStart::asked, .expiry = 10s, .clock = clock}));
  StartSequence start{1};
  REQUIRE(model.control("", start).has_value());
  executor.advance(10s);
  CHECK(*step(model, 1, 1) == 1);
  executor.advance(11s);
  CHECK(step(model, 1, 1).status() == Status::not_found);
}

TEST_CASE("a model that gives another state than its own is an error, and the state stays",
          "[with_state]") {
  auto wide = std::make_shared<bool>(false);
  const Model model("wide", [wide](const Rows<NamedTensors>& rows) {
    Rows<NamedTensors> answers;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const float next = value_of(rows[i], "sum") + 1;
      answers.push_back(
          {{"y", number(next)}, {"next", *wide ? *Tensor::zeros(f32, {2}) : number(next)}});
    }
    return answers;
  });
  const Model kept = with_state(model, of_sum());
  CHECK(*step(kept, 1, 0) == 1);
  *wide = true;
  const Result<float> wrong = step(kept, 1, 0);
  CHECK(wrong.status() == Status::internal);
  CHECK(wrong.error().detail.find("output \"next\" is to be the next step's \"sum\"") !=
        std::string::npos);
  *wide = false;
  CHECK(*step(kept, 1, 0) == 2);
}

TEST_CASE("a model that forgets its state, or a row, is an error of all its rows", "[with_state]") {
  auto forgets = std::make_shared<bool>(true);
  const Model model("forgetful", [forgets](const Rows<NamedTensors>& rows) {
    Rows<NamedTensors> answers;
    for (std::size_t i = *forgets ? 0 : 1; i < rows.size(); ++i) {
      answers.push_back({{"y", number(1)}});
    }
    return answers;
  });
  const Model kept = with_state(model, of_sum());
  const Result<float> without = step(kept, 1, 0);
  CHECK(without.status() == Status::internal);
  CHECK(without.error().detail.find("\"next\"") != std::string::npos);
  *forgets = false;
  const std::array<Key, 2> keys{1, 1};
  const auto outcomes =
      kept.serve_rows(Rows<NamedTensors>{row_of(1), row_of(2)}, {}, {.keys = keys});
  CHECK(outcomes[0].status() == Status::internal);
  CHECK(outcomes[1].status() == Status::internal);
}

TEST_CASE("what repeats rows is refused around a state, and what answers later within",
          "[with_state]") {
  CHECK(galley::retry(with_state(summing(), of_sum())).check().status() ==
        Status::failed_precondition);
  const galley::ManualExecutor executor;
  const auto check = [](const Model& model, StateOptions options, const std::string& part) {
    const Result<void> checked = with_state(model, std::move(options)).check();
    REQUIRE_FALSE(checked.has_value());
    INFO(checked.error().detail);
    CHECK(checked.error().detail.find(part) != std::string::npos);
  };
  check(galley::batched(executor, summing()), of_sum(), "answers later");
  check(with_state(summing(), of_sum()), of_sum(), "keeps a state already");
  check(summing(), {}, "options.tensors: expected one at least");
  check(summing(), of_sum({.max_sequences = 0}), "max_sequences");
  check(summing(), of_sum({.expiry = 0s}), "expiry");
  check(summing(), {.tensors = {{"sum", "next"}}}, "needs an initial value");
  StateOptions twice = of_sum();
  twice.tensors.push_back(twice.tensors.front());
  check(summing(), twice, "has a name that another has");
}
