// Forms: the ways in which LibTorch can run one model, and the fastest for each batch.
#pragma once

#include <src/torch/torch_headers.hpp>

#include <galley/core/node.hpp>
#include <galley/core/result.hpp>
#include <galley/core/tolerance.hpp>
#include <galley/policy/cost_table.hpp>
#include <galley/torch/description.hpp>
#include <galley/torch/options.hpp>
#include <src/torch/call.hpp>
#include <src/torch/samples.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Another form of a model, to be made when it is tried.
struct FormMaker {
  std::string name;
  std::function<Result<std::unique_ptr<Call>>()> make;
  Tolerance tolerance;  ///< How far its answers may lie from those of the model as it is.
};

/// A model as it is, and other forms of it that answer the same, or as far from it as is allowed.
///
/// Until they are measured the model runs as it is. Forms that no batch is run by are let go.
///
/// Threads  `call_for` any; the others too, one after another
class Forms {
 public:
  Forms(std::string own_name, std::unique_ptr<Call> own, std::vector<FormMaker> makers,
        FormOptions options);

  /// The form for a batch of so many rows.
  const Call& call_for(std::int64_t rows) const noexcept {
    const Table* const table = table_.load(std::memory_order_acquire);  // pairs with `choose`
    if (table == nullptr) [[likely]]
      return *own_;
    return table->at(rows);
  }
  const Call& own() const noexcept { return *own_; }

  /// Makes and compares the forms that are not known yet, times them on this thread and chooses.
  /// The first time only. `samples` are rows for each input; `outputs` is what the model gives.
  ///
  /// Errors  failed_precondition: the form that is to be used is not there, or not equal
  Result<void> measure(const Columns& samples, const std::vector<TensorSpec>& outputs);

  /// What is known of the forms.
  FormProfile profile() const;
  /// Takes a profile in the place of measuring.
  ///
  /// Errors  invalid_argument: costs that no `CostTable` takes; failed_precondition: as `measure`
  Result<void> set_profile(const FormProfile& profile, const Columns& samples,
                           const std::vector<TensorSpec>& outputs);

  /// What they are, what they cost, and which of them run.
  void describe(ModelDescription& about) const;

 private:
  /// For each number of rows from 0 on its form; the last is for all beyond.
  struct Table {
    std::vector<const Call*> by_rows;
    const Call& at(std::int64_t rows) const noexcept {
      const auto n = static_cast<std::size_t>(rows);
      return *by_rows[n < by_rows.size() ? n : by_rows.size() - 1];
    }
  };
  struct Entry {
    std::string name = {};
    std::shared_ptr<Call> call = {};  // null: not made yet, refused, or let go
    CostTable costs = {};
    std::string refused = {};  // why it is not used
  };

  void make_all(const Columns& samples, const std::vector<TensorSpec>& outputs);
  Result<std::unique_ptr<Call>> made(const FormMaker& maker, const Columns& samples,
                                     const std::vector<TensorSpec>& outputs) const;
  void time_all(const Columns& samples, const std::vector<TensorSpec>& outputs);
  Duration warm_all(const Columns& inputs, const std::vector<TensorSpec>& outputs,
                    std::size_t size);
  Result<void> choose();
  std::size_t chosen(std::size_t rows) const;
  FormProfile known() const;

  const std::shared_ptr<Call> own_;
  const std::vector<FormMaker> makers_;
  const FormOptions options_;
  std::atomic<const Table*> table_{nullptr};

  mutable std::mutex mutex_;
  bool tried_ = false;
  std::vector<Entry> entries_;                  // the model as it is first
  std::vector<std::size_t> forms_;              // of the entries, that of each number of rows
  std::vector<std::unique_ptr<Table>> tables_;  // all that were, since a call may look at an older
  std::vector<std::shared_ptr<Call>> used_;     // by them
};

}  // namespace galley::inline v1::detail
