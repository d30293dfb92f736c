// One request for memory among all is refused, each in turn: every row is answered once, rightly or
// with resource_exhausted, and nothing is kept.
#include <galley/compose/padded.hpp>
#include <galley/core/named_tensors.hpp>
#include <galley/core/tensor_rows.hpp>

#include <support/allocations.hpp>
#include <support/batching.hpp>
#include <support/padding.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <support/catch.hpp>

using galley::batched;
using galley::BatchOptions;
using galley::CallerRuns;
using galley::ManualExecutor;
using galley::NamedTensors;
using galley::Outcomes;
using galley::padded;
using galley::Padding;
using galley::Result;
using galley::Rows;
using galley::Servable;
using galley::Status;
using galley::Tensor;
using support::BatchEar;
using support::counting;
using support::NoMemoryOnce;
using namespace std::chrono_literals;

namespace {

constexpr int requests = 4;
constexpr std::size_t rows_of[requests] = {1, 3, 1, 2};

/// How the requests come (served ones have keys), and how they end.
enum class Way { submitted, served, by_caller, expired, stopped, shut_down, shut_down_running };
constexpr Way ways[] = {Way::submitted, Way::served,    Way::by_caller,        Way::expired,
                        Way::stopped,   Way::shut_down, Way::shut_down_running};

/// What a row may be answered instead of its value.
std::set<Status> allowed(Way way) {
  switch (way) {
    case Way::expired:
      return {Status::resource_exhausted, Status::deadline_exceeded};
    case Way::stopped:
      return {Status::resource_exhausted, Status::cancelled};
    case Way::shut_down:
    case Way::shut_down_running:
      return {Status::resource_exhausted, Status::unavailable};
    default:
      return {Status::resource_exhausted};
  }
}

/// A kind of row, a graph for it, and what row i becomes.
template <class In, class Out>
struct Kitchen {
  std::function<Servable<In, Out>(const ManualExecutor&, const BatchOptions&,
                                  std::shared_ptr<std::function<void()>>)>
      graph;
  std::function<In(std::size_t)> row;
  std::function<bool(std::size_t, const Out&)> is_right;
};

template <class In, class Out>
struct Round {
  Round(const Kitchen<In, Out>& kitchen, const ManualExecutor& executor, Way way)
      : executor_(executor), way_(way) {
    std::size_t next = 0;
    for (std::size_t r = 0; r < requests; ++r) {
      for (std::size_t i = 0; i < rows_of[r]; ++i) rows_[r].push_back(kitchen.row(next++));
      if (way == Way::served) keys_[r].assign(rows_of[r], 7);
    }
  }

  void ask(const Servable<In, Out>& graph, std::function<void()>& during) {
    galley::Context context;
    if (way_ == Way::expired) context.deadline = executor_.now() + 1ms;
    if (way_ == Way::stopped) context.stop = stop_.get_token();
    if (way_ == Way::shut_down_running) during = [this] { executor_.shutdown(); };
    for (std::size_t r = 0; r < requests; ++r) {
      if (way_ == Way::served || way_ == Way::by_caller) {
        ears_[r].listen(rows_of[r])(
            graph.serve_rows(std::move(rows_[r]), context, {.keys = keys_[r]}));
      } else {
        graph.submit_rows(std::move(rows_[r]), context, ears_[r].listen(rows_of[r]));
      }
    }
    if (way_ == Way::expired) executor_.pass(2ms);
    if (way_ == Way::stopped) stop_.request_stop();
    if (way_ == Way::shut_down) executor_.shutdown();
    executor_.run_ready();
  }

  /// The first row that is not answered as it may be, or -1.
  int first_wrong(const Kitchen<In, Out>& kitchen, bool undisturbed) const {
    std::size_t row = 0;
    for (std::size_t r = 0; r < requests; ++r) {
      for (std::size_t i = 0; i < rows_of[r]; ++i, ++row) {
        if (ears_[r].answers != 1 || ears_[r].heard.size() != rows_of[r]) {
          return static_cast<int>(row);
        }
        const auto got = ears_[r].heard[i];
        const bool right =
            got.has_value() ? kitchen.is_right(row, *got) : allowed(way_).count(got.status()) == 1;
        if (!right || (undisturbed && got.status() == Status::resource_exhausted)) {
          return static_cast<int>(row);
        }
      }
    }
    return -1;
  }

 private:
  ManualExecutor executor_;
  Way way_;
  Rows<In> rows_[requests];
  std::vector<galley::Key> keys_[requests];
  std::stop_source stop_;
  BatchEar<Out> ears_[requests];
};

template <class In, class Out>
void refuse_each(const Kitchen<In, Out>& kitchen, const BatchOptions& options) {
  for (const Way way : ways) {
    for (const bool warm : {false, true}) {
      bool happened = true;
      for (std::size_t nth = 1; happened; ++nth) {
        CAPTURE(static_cast<int>(way), warm, options.max_rows, options.sizes.size(), nth);
        const auto during = std::make_shared<std::function<void()>>();
        {
          const ManualExecutor executor;
          BatchOptions own = options;
          if (way != Way::by_caller) own.caller_runs = CallerRuns::never;
          const Servable<In, Out> graph = kitchen.graph(executor, own, during);
          const auto ask = [&](Way how, std::size_t refused) {
            Round<In, Out> round(kitchen, executor, how);
            {
              const NoMemoryOnce no_memory(refused);
              round.ask(graph, *during);
              happened = refused != 0 && no_memory.happened();
            }
            const int wrong = round.first_wrong(kitchen, refused == 0);
            *during = nullptr;
            return wrong;
          };
          if (warm) REQUIRE(ask(Way::submitted, 0) == -1);
          REQUIRE(ask(way, nth) == -1);
          if (way != Way::shut_down && way != Way::shut_down_running) {
            const bool happened_then = happened;
            REQUIRE(ask(Way::submitted, 0) == -1);  // the same graph, as if nothing had been
            happened = happened_then;
          }
        }
        REQUIRE(during.use_count() == 1);
        REQUIRE(nth < 1000);
      }
    }
  }
}

/// A request at a time, two rows of it at a time, and filled up to four.
template <class In, class Out>
void refuse_each(const Kitchen<In, Out>& kitchen) {
  refuse_each(kitchen, BatchOptions());
  refuse_each(kitchen, {.max_rows = 2});
  refuse_each(kitchen, {.max_rows = 4, .sizes = {4}});
}

float sum_of(const Tensor& tensor) {
  float sum = 0;
  for (const float number : support::numbers_of(tensor)) sum += number;
  return sum;
}
float sum_to(std::size_t n) {
  return static_cast<float>(n * (n + 1) / 2);
}

}  // namespace

TEST_CASE("rows of an ordinary type for which there is no memory fail alone", "[laws][memory]") {
  refuse_each<std::string, std::string>(
      {.graph =
           [](const ManualExecutor& executor, const BatchOptions& options, auto during) {
             return batched(executor,
                            galley::map_batch("twice",
                                              [during](const Rows<std::string>& rows) {
                                                if (*during) (*during)();
                                                Rows<std::string> out(rows.size());
                                                for (const auto& s : rows) out.push_back(s + s);
                                                return out;
                                              }),
                            options);
           },
       .row = [](std::size_t i) { return std::string(40 + i, 'a'); },
       .is_right = [](std::size_t i, const std::string& s) { return s.size() == 2 * (40 + i); }});
}

TEST_CASE("tensors for which there is no memory fail alone, or go without a slab",
          "[laws][memory]") {
  refuse_each<Tensor, Tensor>(
      {.graph =
           [](const ManualExecutor& executor, const BatchOptions& options, auto during) {
             return batched(executor,
                            galley::map_batch("same",
                                              [during](const Rows<Tensor>& rows) {
                                                if (*during) (*during)();
                                                return rows;
                                              }),
                            options);
           },
       .row = [](std::size_t i) { return counting(8, static_cast<float>(i)); },
       .is_right = [](std::size_t i,
                      const Tensor& t) { return t == counting(8, static_cast<float>(i)); }});
}

TEST_CASE("named tensors for which there is no memory fail alone", "[laws][memory]") {
  refuse_each<NamedTensors, float>(
      {.graph =
           [](const ManualExecutor& executor, const BatchOptions& options, auto during) {
             return batched(executor,
                            galley::map("sum",
                                        [during](const NamedTensors& row) {
                                          if (*during) (*during)();
                                          return sum_of(*row.find("a")) + sum_of(*row.find("b"));
                                        }),
                            options);
           },
       .row = [](std::size_t i) -> NamedTensors {
         return {{"a", counting(8)}, {"b", counting(3, static_cast<float>(i))}};
       },
       .is_right = [](std::size_t i,
                      const float& sum) { return sum == 36 + 3 + 3 * static_cast<float>(i); }});
}

TEST_CASE("rows that are padded, before or behind a batcher, fail alone for want of memory",
          "[laws][memory]") {
  const bool behind = GENERATE(true, false);
  Padding padding{.lengths = {4, 8}, .check = Padding::Check::trust};
  refuse_each<Tensor, float>(
      {.graph =
           [&](const ManualExecutor& executor, const BatchOptions& options, auto during) {
             const Servable<Tensor, float> model("sum", [during](const Tensor& row) {
               if (*during) (*during)();
               return sum_of(row);
             });
             return behind ? batched(executor, padded(model, padding), options)
                           : padded(batched(executor, model, options), padding);
           },
       .row = [](std::size_t i) { return counting(1 + i); },
       .is_right = [](std::size_t i, const float& sum) { return sum == sum_to(1 + i); }});
}

TEST_CASE("answers that are cut back for want of memory fail alone", "[laws][memory]") {
  Padding padding{.lengths = {4, 8}, .output_axis = 0, .check = Padding::Check::trust};
  refuse_each<Tensor, Tensor>(
      {.graph =
           [&](const ManualExecutor& executor, const BatchOptions& options, auto during) {
             const auto model = galley::map_batch("same", [during](const Rows<Tensor>& rows) {
               if (*during) (*during)();
               return rows;
             });
             return padded(batched(executor, model, options), padding);
           },
       .row = [](std::size_t i) { return counting(1 + i); },
       .is_right = [](std::size_t i, const Tensor& t) { return t == counting(1 + i); }});
}
