// Screening: which rows of a batch a guard lets go on, and what becomes of the others.
#pragma once

#include <galley/core/batch.hpp>
#include <galley/core/exceptions.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/row_algebra.hpp>
#include <galley/policy/check.hpp>
#include <galley/policy/check/repairing.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// What a guard found of a batch.
template <class In, class Out>
struct Screened {
  /// All rows go on as they are; nothing else here is filled in then.
  bool all_fit = true;
  /// Rows that go on, those that were refused and those that were answered, by their numbers, each
  /// ascending.
  std::vector<RowIndex> on = {};
  std::vector<RowIndex> refused = {};
  std::vector<RowIndex> answered = {};
  /// Why, and with what.
  std::vector<Error> errors = {};
  Rows<Out> answers = {};
  /// What was made of rows that go on, by their numbers, ascending.
  std::vector<std::pair<RowIndex, In>> mended = {};

  bool any_go_on() const noexcept { return all_fit || !on.empty(); }

  void refuse(std::size_t row, Error why) {
    refused.push_back(static_cast<RowIndex>(row));
    errors.push_back(std::move(why));
  }

  /// The outcomes of all `rows` rows, given those of the rows that went on.
  Outcomes<Out> finish(std::size_t rows, Outcomes<Out>&& later, Workspace* workspace) {
    Casualties failed;
    if (answered.empty()) {
      for (std::size_t i = 0; i < refused.size(); ++i) {
        failed.append(refused[i], std::move(errors[i]));
      }
      return with_earlier(std::move(failed), std::move(later));
    }
    for (Error& why : errors) failed.append(failed.size(), std::move(why));
    PartOutcomes<Out> parts[] = {{on, std::move(later)},
                                 {answered, Outcomes<Out>(std::move(answers))},
                                 {refused, Outcomes<Out>(Rows<Out>(), std::move(failed))}};
    return merge(rows, std::span<PartOutcomes<Out>>(parts), workspace);
  }
};

/// Asks a check about rows. `Mode` keeps in what it throws.
template <class In, class Out, class Check, class Mode>
struct Screen {
  Check check;

  static constexpr bool mends = RowRepair<Check, In>;
  static constexpr bool answers = RowAnswer<Check, In, Out>;

  Screened<In, Out> screen(const Batch<In>& batch, std::string_view name) const {
    Screened<In, Out> found;
    if constexpr (!mends && !answers) {
      const Rows<In>* whole = batch.whole();
      if (whole != nullptr && passes(*whole)) return found;
    }
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (!look(batch, i, name, found) && found.all_fit) set_apart(i, found);
      if (!found.all_fit && !is_apart(found, i)) found.on.push_back(static_cast<RowIndex>(i));
    }
    return found;
  }

  /// The rows that go on, where some of them were mended; a row whose copy throws is refused.
  static Rows<In> rows_to_go_on(const Batch<In>& batch, std::string_view name,
                                Screened<In, Out>& found) {
    Rows<In> rows;
    rows.reserve(found.on.size());
    std::vector<RowIndex> on;
    std::span<std::pair<RowIndex, In>> mended(found.mended);
    for (const RowIndex row : found.on) {
      if (!mended.empty() && mended.front().first == row) {
        rows.push_back(std::move(mended.front().second));
        mended = mended.subspan(1);
      } else if (Result<In> same =
                     Mode::template call<In>([&]() -> Result<In> { return batch.take(row); });
                 same.has_value()) {
        rows.push_back(*std::move(same));
      } else {
        const auto at = std::ranges::lower_bound(found.refused, row);
        found.errors.insert(found.errors.begin() + (at - found.refused.begin()),
                            within(name, std::move(same).error()));
        found.refused.insert(at, row);
        continue;
      }
      on.push_back(row);
    }
    found.on = std::move(on);
    return rows;
  }

 private:
  bool passes(const Rows<In>& rows) const {
    const Result<bool> all =
        Mode::template call<bool>([&]() -> Result<bool> { return passes_rows(check, rows); });
    return all.has_value() && *all;
  }

  /// Row i is not one that simply goes on: those before it are.
  static void set_apart(std::size_t i, Screened<In, Out>& found) {
    found.all_fit = false;
    for (std::size_t before = 0; before < i; ++before) {
      found.on.push_back(static_cast<RowIndex>(before));
    }
  }
  static bool is_apart(const Screened<In, Out>& found, std::size_t i) noexcept {
    return (!found.refused.empty() && found.refused.back() == i) ||
           (!found.answered.empty() && found.answered.back() == i);
  }

  /// False where row i is refused, answered or mended.
  bool look(const Batch<In>& batch, std::size_t i, std::string_view name,
            Screened<In, Out>& found) const {
    Error why;
    if constexpr (mends) {
      Result<std::optional<In>> row = Mode::template call<std::optional<In>>(
          [&] { return repaired<In>(check.repair(batch[i])); });
      if (row.has_value() && !row->has_value()) return true;
      if (row.has_value()) {
        found.mended.emplace_back(static_cast<RowIndex>(i), *std::move(*row));
        return false;
      }
      why = std::move(row).error();
    } else if constexpr (answers) {
      Result<std::optional<Out>> early = Mode::template call<std::optional<Out>>(
          [&]() -> Result<std::optional<Out>> { return check.answer(batch[i]); });
      if (early.has_value() && !early->has_value()) return true;
      if (early.has_value()) {
        found.answered.push_back(static_cast<RowIndex>(i));
        found.answers.push_back(*std::move(*early));
        return false;
      }
      why = std::move(early).error();
    } else {
      Result<void> fit = ask(batch, i);
      if (fit.has_value()) [[likely]]
        return true;
      why = std::move(fit).error();
    }
    found.refuse(i, within(name, within("input", std::move(why))));
    return false;
  }

  Result<void> ask(const Batch<In>& batch, std::size_t i) const {
    // A Result<bool> because a call has a value: whether it was fit, or why not.
    Result<void> fit;
    const Result<bool> asked = Mode::template call<bool>([&]() -> Result<bool> {
      fit = check_row<In>(check, batch[i]);
      return true;
    });
    if (!asked.has_value()) return asked.error();
    return fit;
  }
};

}  // namespace galley::inline v1::detail
