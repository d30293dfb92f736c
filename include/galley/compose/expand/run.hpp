// How a batch is expanded: rows into batches of items, and answers to items into answers to rows.
#pragma once

#include <galley/compose/expand/items.hpp>
#include <galley/core/context.hpp>
#include <galley/core/leaf.hpp>
#include <galley/core/liveness.hpp>
#include <galley/core/node.hpp>
#include <galley/core/pins.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

namespace detail {

/// What the user wrote, called for one row.
template <class InRow, class MidRow, class FoundRow, class OutRow, class Split, class Collapse,
          class Mode>
struct ExpandStep {
  using In = InRow;
  using Mid = MidRow;
  using Found = FoundRow;
  using Out = OutRow;

  std::string name;
  Split split;
  Collapse collapse;
  ExpandOptions options;

  Result<Rows<Mid>> items_of_row(const Batch<In>& batch, std::size_t row) const {
    Result<Rows<Mid>> items = Mode::template call<Rows<Mid>>(
        [&]() -> Result<Rows<Mid>> { return items_of(split(batch[row])); });
    if (!items.has_value()) return within(name, within("split", std::move(items).error()));
    if (items->size() > options.max_items) {
      return Error(Status::invalid_argument,
                   name + ": split gave " + std::to_string(items->size()) +
                       " items for a row, the most is " + std::to_string(options.max_items));
    }
    return items;
  }

  Result<Out> answer_to_row(const Batch<In>& batch, std::size_t row, const Batch<Found>& values,
                            const ItemOutcomes<Found>& found) const {
    constexpr CollapseForm form = collapse_form<Collapse, In, Found>();
    if constexpr (form != CollapseForm::outcomes) {
      if (found.size() != values.size()) {
        std::size_t at = 0;
        while (found[at].has_value()) ++at;
        return within(name, within("item " + std::to_string(at), found[at].error()));
      }
    }
    Result<Out> answer = Mode::template call<Out>([&]() -> Result<Out> {
      if constexpr (form == CollapseForm::values) {
        return collapse(batch[row], values);
      } else if constexpr (form == CollapseForm::rows) {
        return collapse(batch[row], values.gather());
      } else {
        return collapse(batch[row], found);
      }
    });
    if (!answer.has_value()) return within(name, within("collapse", std::move(answer).error()));
    return answer;
  }
};

/// A batch on its way: `split` gives the items of the next rows, `collapse` takes what was found
/// for them. Neither asks anybody.
template <class Step>
class ExpandRun {
 public:
  using In = typename Step::In;
  using Mid = typename Step::Mid;
  using Found = typename Step::Found;
  using Out = typename Step::Out;

  /// `inner` is who will be asked. All of these outlive this.
  ExpandRun(const Step& step, const NodeHeader& inner, const Batch<In>& batch,
            const BatchContext& context)
      : step_(step),
        inner_(inner),
        batch_(batch.borrowed()),
        context_(context),
        splitting_(context_),
        collapsing_(context_),
        outcomes_(make_rows<Out>(batch.size(), context.workspace())) {}
  ExpandRun(const ExpandRun&) = delete;
  ExpandRun& operator=(const ExpandRun&) = delete;

  /// Splits rows up to a full batch of items: true when there is one to ask for, false when every
  /// row is answered.
  bool split() {
    while (end_ < batch_.size()) {
      split_rows();
      if (!rows_.empty()) return true;
      collapse(Outcomes<Found>());
    }
    return false;
  }

  /// The items to ask for, to be moved out, and the row of each, ascending.
  Rows<Mid>& items() noexcept { return items_; }
  std::span<const RowIndex> rows() const noexcept { return rows_; }
  /// Whose the rows are, bound to versions where they go on in several batches.
  const BatchContext& context() const noexcept { return context_; }
  /// True when these are the items of all rows.
  bool is_all() const noexcept { return first_ == 0 && end_ == batch_.size(); }

  /// Answers the rows whose items these are the outcomes of.
  void collapse(Outcomes<Found>&& found) {
    if (!found.answers(rows_.size())) [[unlikely]] {
      found = Outcomes<Found>::failed(rows_.size(),
                                      within(inner_.name, miscounted(found.size(), rows_.size())));
    }
    const Batch<Found> values = Batch<Found>::last_use(found.survivors());
    Liveness live;
    auto failed = failed_.mutable_span();
    std::size_t item = 0, value = 0;
    for (std::size_t row = first_; row < end_; ++row) {
      const Context& own = collapsing_.next();
      if (!failed.empty() && failed.front().row == row) {
        outcomes_.casualties().append(row, std::move(failed.front().error));
        failed = failed.subspan(1);
        continue;
      }
      std::size_t count = 0;
      while (item + count < rows_.size() && rows_[item + count] == row) ++count;
      const ItemOutcomes<Found> all(found, item, count);
      const std::size_t good = count - all.failed(count);
      if (const Status status = live.of(own); status == Status::ok) {
        answer(row, step_.answer_to_row(batch_, row, values.slice(value, good), all));
      } else {
        outcomes_.casualties().append(row, Error(status));
      }
      item += count;
      value += good;
    }
  }

  /// What became of every row. Needs `split` to have said that all are answered.
  Outcomes<Out> outcomes() && { return std::move(outcomes_); }

 private:
  void split_rows() {
    first_ = end_;
    rows_.clear();
    failed_ = Casualties();
    std::vector<Rows<Mid>> parts;
    Liveness live;
    const ExpandOptions& most = step_.options;
    while (end_ < batch_.size() && rows_.size() + most.max_items <= most.max_batch) {
      const std::size_t row = end_++;
      const Status status = live.of(splitting_.next());
      Result<Rows<Mid>> items =
          status == Status::ok ? step_.items_of_row(batch_, row) : Result<Rows<Mid>>(Error(status));
      if (!items.has_value()) {
        failed_.append(row, std::move(items).error());
      } else if (!items->empty()) {
        rows_.insert(rows_.end(), items->size(), static_cast<RowIndex>(row));
        parts.push_back(*std::move(items));
      }
    }
    if (parts.size() <= 1) {
      items_ = parts.empty() ? Rows<Mid>() : std::move(parts.front());
    } else {
      items_ = Rows<Mid>::concatenate(parts, context_.workspace());
    }
    if (end_ < batch_.size()) bind();
  }

  /// Rows of several batches are answered by the same versions.
  void bind() {
    if (!inner_.traits.versioned || context_.pins() != nullptr) return;
    auto pins = std::make_shared<Pins>();
    inner_.table->pin(inner_, *pins);
    pins_ = std::move(pins);
    context_ = context_.pinned(pins_);
  }

  void answer(std::size_t row, Result<Out> answer) {
    if (answer.has_value()) [[likely]] {
      outcomes_.survivors().push_back(*std::move(answer));
    } else {
      outcomes_.casualties().append(row, std::move(answer).error());
    }
  }

  const Step& step_;
  const NodeHeader& inner_;
  const Batch<In> batch_;
  BatchContext context_;
  std::shared_ptr<const Pins> pins_;
  RowContexts splitting_, collapsing_;  // how far rows are split, and answered
  Outcomes<Out> outcomes_;
  // The rows that are asked for now.
  std::size_t first_ = 0, end_ = 0;
  Rows<Mid> items_;
  std::vector<RowIndex> rows_;  // of each item
  Casualties failed_;           // in split
};

}  // namespace detail

}  // namespace galley::inline v1
