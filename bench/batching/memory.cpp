#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/runtime/thread_pool.hpp>

#include <support/allocations.hpp>

#include <batching/cases.hpp>
#include <batching/load.hpp>
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

using galley::Rows;
using galley::Tensor;

/// Requests that were submitted together, until all are answered; `wanted` is the answer to each
/// row.
class Group {
 public:
  explicit Group(Tensor wanted = {}) : wanted_(std::move(wanted)) {}

  /// A completion for `submit`, or of several rows for `submit_rows`.
  galley::Completion<Tensor> one() {
    ++left_;
    return [this](const galley::Result<Tensor>& answer) {
      answered(answer.has_value() && is_answer(*answer, wanted_));
    };
  }
  /// The same for a row whose answer is this number.
  galley::Completion<Tensor> number(float wanted) {
    ++left_;
    return [this, wanted](const galley::Result<Tensor>& answer) {
      answered(answer.has_value() && answer->numel() == 1 && *answer->data<float>() == wanted);
    };
  }
  galley::BatchCompletion<Tensor> several(std::size_t rows) {
    ++left_;
    return galley::BatchCompletion<Tensor>(rows, [this](const galley::Outcomes<Tensor>& outcomes) {
      answered(outcomes.all_ok() && is_answer(*outcomes[outcomes.size() - 1], wanted_));
    });
  }
  void wait() {
    for (std::size_t left = left_; left != 0; left = left_) left_.wait(left);
  }
  std::uint64_t failed() const { return failed_; }

 private:
  void answered(bool well) {
    if (!well) ++failed_;
    if (--left_ == 0) left_.notify_all();
  }

  const Tensor wanted_;
  std::atomic<std::size_t> left_{0};
  std::atomic<std::uint64_t> failed_{0};
};

/// B14: our allocations per request of what `operation` asks `requests` times.
template <class Operation>
void steady_case(Report& report, std::string path, std::size_t requests, Operation&& operation,
                 Goal goal = Goal::at_most(0)) {
  constexpr std::size_t calls = 1000;
  for (std::size_t i = 0; i < 4; ++i) count_allocations(operation, calls / 4);  // pools fill
  const Allocations all = count_allocations(operation, calls);
  const auto each = static_cast<double>(calls * requests);
  if (all.count > all.by_program) {
    path += "; LibTorch's " +
            std::to_string(static_cast<double>(all.count - all.by_program) / each).substr(0, 4) +
            " are apart";
  }
  report.add({.id = "B14",
              .name = std::move(path),
              .metric = "allocations per request",
              .unit = "",
              .goal = goal},
             static_cast<double>(all.by_program) / each);
}

void steady_cases(Report& report, const Subject& subject) {
  const galley::ThreadPool pool({.workers = 1});
  const Model model = galley::batched(pool, subject.served);
  const Model queued =
      galley::batched(pool, subject.served, {.caller_runs = galley::CallerRuns::never});
  report.check(model.prepare().has_value() && queued.prepare().has_value(),
               subject.name + " could not be prepared");
  std::uint64_t wrong = 0;
  const auto check = [&](const galley::Result<Tensor>& answer) {
    if (!answer.has_value() || !is_answer(*answer, subject.answer)) ++wrong;
  };
  steady_case(report, subject.name + ", serve, alone", 1,
              [&] { check(model.serve(subject.sample)); });
  steady_case(report, subject.name + ", serve, through the queue", 1,
              [&] { check(queued.serve(subject.sample)); });
  Group group(subject.answer);
  constexpr std::size_t together = 64;
  steady_case(report, subject.name + ", submit, 64 at a time", together, [&] {
    for (std::size_t i = 0; i < together; ++i) model.submit(subject.sample, {}, group.one());
    group.wait();
  });
  const std::vector<Tensor> many(32, subject.sample);
  const Tensor block = *Rows<Tensor>(std::span<const Tensor>(many)).dense();
  const Rows<Tensor> rows = *Rows<Tensor>::of_block(block);
  steady_case(
      report, subject.name + ", submit_rows of 32, to which no workspace is lent, 4 at a time", 4,
      [&] {
        for (int i = 0; i < 4; ++i) model.submit_rows(rows, {}, group.several(rows.size()));
        group.wait();
      },
      Goal());
  std::vector<std::byte> lent(std::size_t{1} << 16U);
  std::pmr::monotonic_buffer_resource workspace(lent.data(), lent.size());
  for (const Model* one : {&model, &queued}) {
    const char* const how = one == &model ? "alone" : "through the queue";
    steady_case(report, subject.name + ", serve_rows of 32, lent workspace, " + how, 1, [&] {
      {
        const auto outcomes = one->serve_rows(rows, {}, {.workspace = &workspace});
        if (!outcomes.all_ok() || !is_answer(*outcomes[31], subject.answer)) ++wrong;
      }
      workspace.release();
    });
  }
  report.check(wrong == 0 && group.failed() == 0,
               subject.name + ": failed requests or wrong answers");
}

/// Bytes of the heap that are in use.
double heap_in_use() {
  const auto heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

/// B15: what the heap holds more after 10⁶ requests of mixed shapes than after the first 10⁵.
void mixed_shapes_case(Report& report) {
  const galley::ThreadPool pool({.workers = 1});
  const Model sums = galley::map("sum", [](const Tensor& row) {
    const auto numbers = row.span<float>();
    float sum = 0;
    for (const float number : *numbers) sum += number;
    return *Tensor::copy_of(std::span<const float>(&sum, 1), {1});
  });
  const Model model = galley::batched(pool, sums);
  std::mt19937 random(7);
  Group group;
  const auto requests = [&](int count) {
    for (int i = 0; i < count; i += 64) {
      for (int one = 0; one < 64; ++one) {
        const auto extent = static_cast<std::int64_t>(1 + random() % 500);
        const bool flat = random() % 2 == 0;
        const galley::Shape shape = flat ? galley::Shape{extent} : galley::Shape{extent, 2};
        Tensor row = *Tensor::zeros(galley::f32, shape);
        const auto sum = static_cast<float>(extent);
        *static_cast<float*>(row.mutable_data()) = sum;
        model.submit(std::move(row), {}, group.number(sum));
      }
      group.wait();
    }
  };
  requests(100'000);
  const double before = heap_in_use();
  requests(900'000);
  const double after = heap_in_use();
  report.check(group.failed() == 0, "mixed shapes: failed requests or wrong answers");
  report.add({.id = "B15",
              .name = "10^6 requests of 1000 shapes, after the first 10^5",
              .metric = "heap growth",
              .unit = "KB",
              .goal = Goal::at_most(64)},
             (after - before) / 1024);
}

}  // namespace

void memory_cases(Report& report, std::vector<Subject>& subjects) {
  if (can_count_allocations()) steady_cases(report, subjects.front());
  mixed_shapes_case(report);
}

}  // namespace bench
