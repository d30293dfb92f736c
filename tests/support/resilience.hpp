// What the tests of timeouts, retries, hedges, breakers and shadows share: children that answer
// when a test says so, or as a script does.
#pragma once

#include <galley/compose/map.hpp>
#include <galley/compose/on.hpp>
#include <galley/compose/pipeline.hpp>
#include <galley/testing/manual_executor.hpp>

#include <support/batching.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace support {

/// Calls that wait for a test to answer them.
struct Held {
  struct Call {
    galley::Rows<int> rows;
    galley::BatchCompletion<int> done;
    std::vector<galley::Context> contexts;  ///< Of each row.
    std::vector<galley::Key> keys;

    /// Ten times each row; rows below zero fail.
    void answer(galley::Status failure = galley::Status::unavailable) {
      galley::Outcomes<int> outcomes;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (rows[i] < 0) {
          outcomes.casualties().append(i, galley::Error(failure, "negative"));
        } else {
          outcomes.survivors().push_back(tenfold(rows[i]));
        }
      }
      done(std::move(outcomes));
    }
    void fail(galley::Status status) { done.fail(galley::Error(status, "failed by a test")); }
    bool stopped() const { return contexts.at(0).stop.stop_requested(); }
  };
  std::vector<Call> calls;
};

/// A child that answers when the test says so; `alive` is kept by it.
inline galley::Servable<int, int> held(std::shared_ptr<Held> all, galley::NodeTraits traits = {},
                                       std::shared_ptr<int> alive = nullptr) {
  return {"held",
          [all = std::move(all), alive = std::move(alive)](galley::Rows<int> rows,
                                                           const galley::BatchContext& context,
                                                           galley::BatchCompletion<int> done) {
            Held::Call call{std::move(rows), std::move(done), {}, {}};
            for (std::size_t i = 0; i < call.rows.size(); ++i) {
              call.contexts.push_back(context.context_of(i));
            }
            call.keys.assign(context.keys().begin(), context.keys().end());
            all->calls.push_back(std::move(call));
          },
          traits};
}

/// The batches a scripted child saw.
struct Script {
  /// What the nth call (from 1) answers to a row.
  std::function<galley::Result<int>(int row, std::size_t call)> answer =
      [](int row, std::size_t) -> galley::Result<int> { return tenfold(row); };
  std::vector<std::vector<int>> batches;
  std::vector<std::vector<galley::Key>> keys;
};

/// A child that answers at once, as the script says.
inline galley::Servable<int, int> scripted(std::shared_ptr<Script> script,
                                           galley::NodeTraits traits = {}) {
  return {"model",
          [script = std::move(script)](const galley::Batch<int>& rows,
                                       const galley::BatchContext& context) {
            std::vector<int> batch;
            for (std::size_t i = 0; i < rows.size(); ++i) batch.push_back(rows[i]);
            script->batches.push_back(batch);
            script->keys.emplace_back(context.keys().begin(), context.keys().end());
            galley::Outcomes<int> outcomes;
            for (std::size_t i = 0; i < rows.size(); ++i) {
              galley::Result<int> one = script->answer(rows[i], script->batches.size());
              if (one.has_value()) {
                outcomes.survivors().push_back(*one);
              } else {
                outcomes.casualties().append(i, one.error());
              }
            }
            return outcomes;
          },
          traits};
}

template <class Statistics>
Statistics counted(const galley::Servable<int, int>& graph) {
  Statistics statistics;
  (void)graph.control("", statistics);
  return statistics;
}

}  // namespace support
