// The algebra of rows: split by label, carry on with survivors, merge back in order.
#pragma once

#include <galley/core/assert.hpp>
#include <galley/core/batch.hpp>
#include <galley/core/context.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>
#include <galley/core/traced_rows.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace galley::inline v1 {

/// A `BatchContext` for some of a batch's rows, with the memory it views.
///
/// Copies nothing while the batch is of one request without keys that is not traced.
class ContextSelection {
 public:
  /// The context of the rows at `rows` of a batch with context `all`, ascending; a row may be named
  /// several times, one after the other, for what becomes several.
  ContextSelection(const BatchContext& all, std::span<const RowIndex> rows)
      : view_(all.is_uniform() ? all.resized(rows.size()) : select(all, rows)) {}

  ContextSelection(const ContextSelection&) = delete;
  ContextSelection& operator=(const ContextSelection&) = delete;

  const BatchContext& view() const noexcept { return view_; }

 private:
  BatchContext select(const BatchContext& all, std::span<const RowIndex> rows) {
    const std::span<const Key> keys = all.keys();
    const RequestRun* run = all.runs().data();
    std::size_t end = run->rows;  // of the run, in rows of the batch
    for (RowIndex row : rows) {
      while (row >= end) end += (++run)->rows;
      if (runs_.empty() || runs_.back().context != run->context) runs_.push_back({run->context, 0});
      ++runs_.back().rows;
      if (!keys.empty()) keys_.push_back(keys[row]);
    }
    if (runs_.empty()) runs_.push_back({&all.context(), 0});
    const BatchContext chosen(runs_, keys_, all.workspace(), all.shared_pins());
    return all.traced() == nullptr ? chosen : trace(chosen, *all.traced(), rows);
  }

  [[gnu::noinline]] BatchContext trace(const BatchContext& chosen, const Rows<TracedRows>& all,
                                       std::span<const RowIndex> rows) {
    traced_ = std::make_unique<Rows<TracedRows>>();
    detail::select_traced(*traced_, all, rows);
    return chosen.traced_as(*traced_);
  }

  std::vector<RequestRun> runs_;
  std::vector<Key> keys_;
  std::unique_ptr<Rows<TracedRows>> traced_;
  BatchContext view_;
};

/// The rows of a batch sorted into parts by a label: what a route, a cache or a cascade hands on.
///
/// `rows(p)` are part p's rows by their number in the batch, ascending; `places(p)` the same as
/// places for `Batch::at_places`.
class Split {
 public:
  /// Sorts the rows of `batch` into `parts` parts by `label(i)`, the part of row i.
  /// Returns `internal` when a label is not below `parts`.
  template <class T, class Label>
    requires(std::invocable<Label&, std::size_t>)
  static Result<Split> by(const Batch<T>& batch, std::size_t parts, Label&& label) {
    Split split;
    split.parts_.resize(parts);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto part = static_cast<std::size_t>(label(i));
      if (part >= parts) {
        return Error(Status::internal, "row " + std::to_string(i) + " was sent to part " +
                                           std::to_string(part) + " of " + std::to_string(parts));
      }
      split.parts_[part].rows.push_back(static_cast<RowIndex>(i));
      split.parts_[part].places.push_back(static_cast<RowIndex>(batch.place(i)));
    }
    return split;
  }

  std::size_t parts() const noexcept { return parts_.size(); }
  std::span<const RowIndex> rows(std::size_t part) const noexcept { return parts_[part].rows; }
  std::span<const RowIndex> places(std::size_t part) const noexcept { return parts_[part].places; }

 private:
  struct Part {
    std::vector<RowIndex> rows;
    std::vector<RowIndex> places;
  };
  std::vector<Part> parts_;
};

/// The outcomes of one part of a batch, and which rows of the batch they are, ascending.
template <class T>
struct PartOutcomes {
  std::span<const RowIndex> rows;
  Outcomes<T> outcomes;
};

/// Puts the outcomes of parts that together hold every row of a batch once back in the batch's
/// order.
///
/// Cost  values are moved; parts that follow each other are only concatenated
template <Row T>
Outcomes<T> merge(std::size_t rows, std::span<PartOutcomes<T>> parts,
                  Workspace* workspace = nullptr) {
  constexpr RowIndex failed = ~RowIndex{0};
  std::vector<RowIndex> value_of(rows, failed);  // row -> its place in the concatenated survivors
  std::vector<Error*> error_of(rows, nullptr);
  std::vector<Rows<T>> values;
  values.reserve(parts.size());
  RowIndex next = 0;
  for (PartOutcomes<T>& part : parts) {
    GALLEY_ASSERT(part.rows.size() == part.outcomes.size());
    auto casualty = part.outcomes.casualties().mutable_span();
    for (std::size_t i = 0; i < part.rows.size(); ++i) {
      if (!casualty.empty() && casualty.front().row == i) {
        error_of[part.rows[i]] = &casualty.front().error;
        casualty = casualty.subspan(1);
      } else {
        value_of[part.rows[i]] = next++;
      }
    }
    values.push_back(std::move(part.outcomes).survivors());
  }
  Casualties casualties;
  std::vector<RowIndex> order;
  order.reserve(next);
  for (std::size_t row = 0; row < rows; ++row) {
    if (value_of[row] != failed) {
      order.push_back(value_of[row]);
    } else {
      casualties.append(row, error_of[row] != nullptr
                                 ? std::move(*error_of[row])
                                 : Error(Status::internal, "no part answered this row"));
    }
  }
  Rows<T> all = Rows<T>::concatenate(values, workspace);
  if (!std::is_sorted(order.begin(), order.end())) all = std::move(all).select(order, workspace);
  return Outcomes<T>(std::move(all), std::move(casualties));
}

/// The outcomes at `rows`, ascending, moved out of those of a whole batch.
template <Row T>
Outcomes<T> select(Outcomes<T>&& all, std::span<const RowIndex> rows,
                   Workspace* workspace = nullptr) {
  if (rows.size() == all.size()) return std::move(all);
  Casualties casualties;
  std::vector<RowIndex> survivors;
  survivors.reserve(rows.size());
  auto failed = all.casualties().mutable_span();
  RowIndex before = 0;  // casualties of the whole batch before a row
  for (std::size_t i = 0; i < rows.size(); ++i) {
    while (!failed.empty() && failed.front().row < rows[i]) {
      failed = failed.subspan(1);
      ++before;
    }
    if (!failed.empty() && failed.front().row == rows[i]) {
      casualties.append(i, std::move(failed.front().error));
    } else {
      survivors.push_back(rows[i] - before);
    }
  }
  return Outcomes<T>(std::move(all).survivors().select(survivors, workspace),
                     std::move(casualties));
}

/// The numbers of the rows of a batch of `rows` rows that `casualties` does not name.
inline std::vector<RowIndex> survivors_of(std::size_t rows, const Casualties& casualties) {
  std::vector<RowIndex> alive;
  alive.reserve(rows - casualties.size());
  auto next = casualties.begin();
  for (std::size_t row = 0; row < rows; ++row) {
    if (next != casualties.end() && next->row == row) {
      ++next;
    } else {
      alive.push_back(static_cast<RowIndex>(row));
    }
  }
  return alive;
}

/// The outcomes of a whole batch, given those of its survivors and the casualties that came before.
///
/// Row numbers in `later` count survivors only; they are remapped here. Values are not touched.
template <class T>
Outcomes<T> with_earlier(Casualties earlier, Outcomes<T> later) {
  if (earlier.empty()) return later;
  if (later.casualties().empty())
    return Outcomes<T>(std::move(later).survivors(), std::move(earlier));
  Casualties all;
  std::size_t survivor = 0;  // how many rows before `row` reached the later stage
  auto before = earlier.mutable_span();
  auto after = later.casualties().mutable_span();
  for (std::size_t row = 0; !before.empty() || !after.empty(); ++row) {
    if (!before.empty() && before.front().row == row) {
      all.append(row, std::move(before.front().error));
      before = before.subspan(1);
      continue;
    }
    if (!after.empty() && after.front().row == survivor) {
      all.append(row, std::move(after.front().error));
      after = after.subspan(1);
    }
    ++survivor;
  }
  return Outcomes<T>(std::move(later).survivors(), std::move(all));
}

/// Which rows of a batch are still wanted: the casualties are those whose own request was cancelled
/// or whose own deadline has passed.
///
/// Cost  two compares for one request without deadline and stop token
inline Casualties expired_rows(const BatchContext& context) {
  Casualties expired;
  std::size_t first = 0;
  for (const RequestRun& run : context.runs()) {
    const Status status = run.context->live();
    if (status != Status::ok) {
      for (std::size_t i = 0; i < run.rows; ++i) expired.append(first + i, Error(status));
    }
    first += run.rows;
  }
  return expired;
}

namespace detail {

template <class Out, class In, class Serve>
[[gnu::noinline]] Outcomes<Out> serve_unexpired(const Batch<In>& batch, const BatchContext& context,
                                                Serve& serve) {
  Casualties expired = expired_rows(context);
  if (expired.empty()) return serve(batch, context);
  if (expired.size() == batch.size()) return Outcomes<Out>(Rows<Out>(), std::move(expired));
  const std::vector<RowIndex> alive = survivors_of(batch.size(), expired);
  std::vector<RowIndex> places;
  places.reserve(alive.size());
  for (RowIndex row : alive) places.push_back(static_cast<RowIndex>(batch.place(row)));
  const ContextSelection selected(context, alive);
  return with_earlier(std::move(expired), serve(batch.at_places(places), selected.view()));
}

}  // namespace detail

/// Runs `serve` over the rows that are still wanted; expired rows are answered without it.
///
/// `serve` takes (Batch<In>, const BatchContext&) and returns the outcomes of that batch.
template <class Out, class In, class Serve>
Outcomes<Out> serve_live(const Batch<In>& batch, const BatchContext& context, Serve&& serve) {
  if (context.is_single() && context.context().live() == Status::ok) [[likely]] {
    return serve(batch, context);
  }
  return detail::serve_unexpired<Out>(batch, context, serve);
}

/// Finds the rows a whole-batch function fails for, by halving the batch until only they fail.
///
/// `call(first, count)` answers rows first … first + count − 1 with a `Result<Outcomes<Out>>`
/// of `count` rows, or an error where it cannot tell its rows apart. It is called
/// for the whole batch first; `resource_exhausted` and `unavailable` are not the rows' fault and
/// are not halved. At most 4·log₂n + 8 calls are made; rows not cleared by then answer
/// `unavailable`.
template <class Out, class Call>
Outcomes<Out> bisect(std::size_t rows, Call&& call, Workspace* workspace = nullptr) {
  const auto rows_may_be_guilty = [](Status s) {
    return s != Status::resource_exhausted && s != Status::unavailable;
  };
  Result<Outcomes<Out>> whole = call(std::size_t{0}, rows);
  if (whole.has_value()) [[likely]]
    return *std::move(whole);
  if (rows <= 1 || !rows_may_be_guilty(whole.status())) {
    return Outcomes<Out>::failed(rows, whole.error());
  }
  struct Part {
    std::size_t first, count;
  };
  std::size_t calls = 4 * static_cast<std::size_t>(std::bit_width(rows) - 1) + 7;
  std::vector<Part> stack{{rows / 2, rows - rows / 2}, {0, rows / 2}};  // taken from the back
  std::vector<Rows<Out>> values;
  Casualties casualties;
  while (!stack.empty()) {
    const Part part = stack.back();
    stack.pop_back();
    Result<Outcomes<Out>> result =
        calls == 0
            ? Error(Status::unavailable,
                    "the batch failed, and the search for the guilty row was given up before "
                    "this row was cleared")
            : call(part.first, part.count);
    if (calls > 0) --calls;
    if (result.has_value()) {
      for (Casualty& c : result->casualties().mutable_span()) {
        casualties.append(part.first + c.row, std::move(c.error));
      }
      values.push_back(std::move(*result).survivors());
    } else if (part.count == 1 || !rows_may_be_guilty(result.status())) {
      for (std::size_t i = 0; i < part.count; ++i) {
        casualties.append(part.first + i, result.error());
      }
    } else {
      const std::size_t half = part.count / 2;
      stack.push_back({part.first + half, part.count - half});
      stack.push_back({part.first, half});
    }
  }
  return Outcomes<Out>(Rows<Out>::concatenate(values, workspace), std::move(casualties));
}

}  // namespace galley::inline v1
