// What the tests of `batched` share: a child that keeps a log of its batches, and ears for answers.
#pragma once

#include <galley/compose/batched.hpp>
#include <galley/compose/map.hpp>
#include <galley/policy/batch/size_or_delay.hpp>
#include <galley/testing/manual_executor.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// Hears the answers to one submitted request, row by row, and counts them.
template <class Out>
struct BatchEar {
  int answers = 0;
  galley::Outcomes<Out> heard;

  galley::BatchCompletion<Out> listen(std::size_t rows) {
    return galley::BatchCompletion<Out>(rows, [this](galley::Outcomes<Out> outcomes) {
      ++answers;
      heard = std::move(outcomes);
    });
  }
  galley::Completion<Out> listen() {
    return [this](galley::Result<Out> result) {
      ++answers;
      heard = galley::Outcomes<Out>::single(std::move(result));
    };
  }
  /// The status of row i; `ok` only where it was answered once.
  galley::Status status(std::size_t i = 0) const {
    if (answers != 1 || i >= heard.size()) return galley::Status::internal;
    return heard[i].status();
  }
  Out value(std::size_t i = 0) const { return *heard[i]; }
};
using IntEar = BatchEar<int>;

/// The batches that a child was given, in order.
struct BatchLog {
  std::vector<std::vector<int>> batches;
  std::vector<std::vector<galley::Key>> keys;
  std::vector<std::vector<std::uint64_t>> requests;  ///< The request id of each row.
  std::function<void(const std::vector<int>&)> during;

  std::vector<std::size_t> sizes() const {
    std::vector<std::size_t> all;
    for (const auto& batch : batches) all.push_back(batch.size());
    return all;
  }
};

/// What `logged` answers.
inline int tenfold(int n) {
  return n * 10;
}

/// A child that answers ten times the row, logs each batch, and refuses negative rows.
inline galley::Servable<int, int> logged(std::shared_ptr<BatchLog> log,
                                         galley::NodeTraits traits = {}) {
  return {"model",
          [log = std::move(log)](const galley::Batch<int>& rows, const galley::BatchContext& c) {
            std::vector<int> batch;
            std::vector<std::uint64_t> requests;
            galley::Outcomes<int> outcomes;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              batch.push_back(rows[i]);
              requests.push_back(c.context_of(i).request_id);
              if (rows[i] < 0) {
                outcomes.casualties().append(
                    i, galley::Error(galley::Status::invalid_argument, "negative"));
              } else {
                outcomes.survivors().push_back(tenfold(rows[i]));
              }
            }
            log->batches.push_back(batch);
            log->keys.emplace_back(c.keys().begin(), c.keys().end());
            log->requests.push_back(std::move(requests));
            if (log->during) log->during(batch);
            return outcomes;
          },
          traits};
}

inline galley::BatchStatistics statistics_of(const galley::Servable<int, int>& graph) {
  galley::BatchStatistics statistics;
  (void)graph.control("", statistics);
  return statistics;
}

/// Rows always queue: no caller runs its own.
inline const galley::BatchOptions always_queued{.caller_runs = galley::CallerRuns::never};

/// One row at a time, in the order of the queue.
inline constexpr galley::SizeOrDelay one_by_one{.max_rows = 1};

}  // namespace support
