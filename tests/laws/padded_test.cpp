// Law 3 for padding: whatever the lengths and who batches, each row is answered as unpadded, alone.
#include <galley/compose/on.hpp>
#include <galley/compose/padded.hpp>
#include <galley/core/slot.hpp>
#include <galley/testing/faults.hpp>

#include <support/batching.hpp>
#include <support/clock.hpp>
#include <support/padding.hpp>

#include <laws/graphs.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::Fault;
using galley::FaultPlan;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Shape;
using galley::Status;
using galley::Tensor;
using support::BatchEar;
using support::BlockLog;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t longest = 24;

/// Rows `[L]` of whole numbers, so that sums are exact in any order; some that cannot be padded.
class RowMaker {
 public:
  explicit RowMaker(unsigned seed) : random_(seed) {}

  int number(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  Tensor row() {
    switch (number(20)) {
      case 0:
        return support::counting(static_cast<std::size_t>(longest + 1 + number(5)));
      case 1:
        return *Tensor::zeros(galley::f32, {0});
      default:
        break;
    }
    const std::int64_t length = 1 + number(longest);
    std::vector<float> numbers;
    for (std::int64_t i = 0; i < 2 * length; ++i) {
      numbers.push_back(static_cast<float>(number(50) - 15));
    }
    // Every other number of twice as many, copied or as strides.
    const Tensor wide = *Tensor::from(std::move(numbers), {length, 2});
    const std::vector<std::int64_t> strides{2};
    Tensor row = *Tensor::adopt(wide.data(), galley::f32, {length}, strides, {}, wide.owner());
    return number(2) == 0 ? row : *row.contiguous();
  }

  Rows<Tensor> rows() {
    Rows<Tensor> drawn;
    if (number(8) == 0) {  // of one length, as a block
      const std::int64_t n = 1 + number(5), length = 1 + number(longest);
      std::vector<float> numbers(static_cast<std::size_t>(n * length));
      for (float& one : numbers) one = static_cast<float>(number(50) - 15);
      return *Rows<Tensor>::of_block(*Tensor::from(std::move(numbers), {n, length}));
    }
    for (int n = 1 + number(7); n > 0; --n) drawn.push_back(row());
    return drawn;
  }

  Padding options() {
    Padding drawn;
    const double ratio = 1.1 + 0.1 * number(15);
    drawn.lengths =
        galley::geometric_lengths(static_cast<std::size_t>(1 + number(8)), longest, ratio);
    drawn.check = Padding::Check::trust;
    return drawn;
  }

 private:
  std::mt19937 random_;
};

/// What `summing` says of a row; a status alone where it is refused.
Result<float> sum_of(const Tensor& row) {
  using galley::Error;
  if (row.numel() == 0 || row.numel() > longest) {
    return Error(Status::invalid_argument);
  }
  float sum = 0;
  for (const float number : support::numbers_of(row)) sum += number;
  if (sum < 0) return Error(Status::invalid_argument);
  return sum;
}

template <class Out, class Reference>
int first_wrong_row(const Rows<Tensor>& rows, const Outcomes<Out>& outcomes,
                    const Reference& reference) {
  if (outcomes.size() != rows.size()) return static_cast<int>(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Result<Out> wanted = reference(rows[i]);
    if (outcomes[i].status() != wanted.status()) return static_cast<int>(i);
    if (wanted.has_value() && !(*outcomes[i] == *wanted)) return static_cast<int>(i);
  }
  return -1;
}

struct Asked {
  Rows<Tensor> rows;
  BatchEar<float> ear;
};

}  // namespace

TEST_CASE("rows of all lengths are answered as alone and unpadded, whoever batches", "[laws]") {
  constexpr unsigned seeds = 700;
  constexpr int ways = 7;
  int cases = 0;
  for (unsigned seed = 1; seed <= seeds; ++seed) {
    for (int way = 0; way < ways; ++way) {
      CAPTURE(seed, way);
      RowMaker make(seed);
      const ManualExecutor executor({.seed = seed, .order = galley::TaskOrder::shuffled});
      support::HandClock clock;
      const auto log = std::make_shared<BlockLog>();
      const int fixed = make.number(200), each = 1 + make.number(20);
      log->during = [&clock, fixed, each](const Shape& shape) {
        clock.advance(std::chrono::microseconds(fixed + each * shape[0] * shape[1]));
      };
      Padding options = make.options();
      options.clock = clock.now().clock;
      const auto model = support::summing(log);
      galley::BatchOptions batches;
      batches.max_rows = static_cast<std::size_t>(1 + make.number(9));
      if (make.number(2) == 0) batches.caller_runs = galley::CallerRuns::never;
      const auto graph = [&]() -> Servable<Tensor, float> {
        switch (way) {
          case 0:
            return padded(model, options);
          case 1:
            return padded(galley::on(executor, model), options);
          case 2:
            return galley::on(executor, padded(model, options));
          case 3:
            return galley::batched(executor, padded(model, options), batches);
          case 4:
            return padded(galley::batched(executor, model, batches), options);
          case 5:
            return padded(galley::slot("slot", galley::on(executor, model)).servable, options);
          default:
            return galley::batched(executor, padded(galley::batched(executor, model), options),
                                   batches, galley::SizeOrDelay{5, 1ms});
        }
      }();
      std::vector<std::unique_ptr<Asked>> all;
      for (int i = 1 + make.number(12); i > 0; --i) {
        Asked& asked = *all.emplace_back(std::make_unique<Asked>());
        asked.rows = make.rows();
        const std::size_t n = asked.rows.size();
        if (make.number(3) == 0) {
          asked.ear.listen(n)(graph.serve_rows(asked.rows));
        } else {
          graph.submit_rows(Rows<Tensor>(asked.rows), {}, asked.ear.listen(n));
        }
        if (make.number(3) == 0) executor.run_one();
      }
      executor.run_all();
      for (const auto& asked : all) {
        REQUIRE(asked->ear.answers == 1);
        REQUIRE(first_wrong_row(asked->rows, asked->ear.heard, sum_of) == -1);
        ++cases;
      }
    }
  }
  CHECK(cases >= 20'000);
}

TEST_CASE("answers that are cut back are those of the row unpadded", "[laws]") {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    RowMaker make(seed);
    const auto log = std::make_shared<BlockLog>();
    Padding options = make.options();
    options.output_axis = 0;
    const ManualExecutor executor;
    const auto model = support::doubling(log);
    const Rows<Tensor> rows = make.rows();
    const auto reference = [](const Tensor& row) -> Result<Tensor> {
      if (row.numel() == 0 || row.numel() > longest) {
        return galley::Error(Status::invalid_argument);
      }
      std::vector<float> numbers = support::numbers_of(row);
      for (float& number : numbers) number = 2 * number + 1;
      return Tensor::from(std::move(numbers), row.shape());
    };
    REQUIRE(first_wrong_row(rows, padded(model, options).serve_rows(rows), reference) == -1);
    BatchEar<Tensor> ear;
    padded(galley::on(executor, model), options).submit_rows(rows, {}, ear.listen(rows.size()));
    executor.run_all();
    REQUIRE(first_wrong_row(rows, ear.heard, reference) == -1);
  }
}

TEST_CASE("masked answers are those of the row unpadded", "[laws]") {
  for (unsigned seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    RowMaker make(seed);
    const auto reference = [](const Tensor& row) -> Result<float> {
      if (row.numel() == 0 || row.numel() > longest) {
        return galley::Error(Status::invalid_argument);
      }
      float sum = 0;
      for (const float number : support::numbers_of(row)) sum += number;
      return sum / static_cast<float>(row.numel());
    };
    Padding options = make.options();
    options.value = 1000;
    const Rows<Tensor> rows = make.rows();
    const auto graph = padded(support::masked_mean(), options);
    REQUIRE(first_wrong_row(rows, graph.serve_rows(rows), reference) == -1);
  }
}

TEST_CASE("whichever call of a padded model goes wrong, each row is answered once", "[laws]") {
  const Rows<Tensor> rows{support::counting(3), support::counting(9), support::counting(40),
                          support::counting(2), support::counting(16)};
  const auto undisturbed = [](std::size_t row) {
    return row == 2 ? Status::invalid_argument : Status::ok;
  };
  for (int shape = 0; shape < 4; ++shape) {
    for (const Fault fault :
         {Fault::fails, Fault::throws, Fault::miscounts, Fault::drops, Fault::duplicates}) {
      for (const bool later : {false, true}) {
        bool happened = true;
        for (std::uint64_t nth = 1; happened; ++nth) {
          CAPTURE(shape, std::string(to_string(fault)), later, nth);
          const auto log = std::make_shared<BlockLog>();
          {
            const ManualExecutor executor;
            const auto plan = std::make_shared<FaultPlan>(fault, nth);
            const auto model = support::summing(log);
            const auto now = galley::faulty_now(model, plan);
            const auto once = galley::faulty_later(model, plan);
            const Padding options{.lengths = {4, 16}, .check = Padding::Check::trust};
            const auto graph = shape == 0   ? padded(now, options)
                               : shape == 1 ? padded(once, options)
                               : shape == 2 ? padded(galley::on(executor, now), options)
                                            : galley::batched(executor, padded(once, options));
            const auto ask = [&]() -> Outcomes<float> {
              if (!later) return graph.serve_rows(rows);
              BatchEar<float> ear;
              graph.submit_rows(rows, {}, ear.listen(rows.size()));
              executor.run_all();
              REQUIRE(ear.answers == 1);
              return std::move(ear.heard);
            };
            const Outcomes<float> outcomes = ask();
            happened = plan->happened();
            REQUIRE(outcomes.size() == rows.size());
            for (std::size_t i = 0; i < rows.size(); ++i) {
              const Status status = outcomes[i].status();
              const bool answered = status == undisturbed(i);
              const bool faulty = status == Status::internal || status == Status::cancelled ||
                                  status == Status::resource_exhausted;
              REQUIRE((answered || (faulty && happened && i != 2)));
            }
            const Outcomes<float> after = ask();
            if (happened) {
              for (std::size_t i = 0; i < rows.size(); ++i) {
                REQUIRE(after[i].status() == undisturbed(i));
              }
            }
          }
          REQUIRE(log.use_count() == 1);
          REQUIRE(nth < 100);
        }
      }
    }
  }
}
