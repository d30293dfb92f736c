// The outcomes of a request that was split, until they are one answer.
#pragma once

#include <galley/compose/batching/gather.hpp>
#include <galley/core/completion.hpp>
#include <galley/core/function_ref.hpp>
#include <galley/core/outcomes.hpp>
#include <galley/core/result.hpp>
#include <galley/core/rows.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace galley::inline v1::detail {

/// Does what may throw, since rows are copied or memory is taken. Whoever makes a batcher knows
/// whether exceptions are on.
using Guard = Result<void> (*)(FunctionRef<void()> work);

/// Room for `more` at the end, so that putting them there cannot fail.
template <class T>
void make_room(std::vector<T>& list, std::size_t more) {
  if (list.capacity() - list.size() >= more) return;
  list.reserve(std::max(2 * list.capacity(), list.size() + more));
}

/// The outcomes of a request's parts, in any order, and the memory in which they become one; used
/// again for another request.
template <class Out>
class Pieces {
 public:
  /// Room for `more`, so that adding them cannot fail.
  void make_room_for(std::size_t more) {
    make_room(pieces_, more);
    rows_.reserve(pieces_.capacity());
  }

  /// The outcomes of the request's rows from `first` on. Needs room.
  void add(RowIndex first, Outcomes<Out>&& outcomes) {
    pieces_.push_back({first, std::move(outcomes)});
  }

  /// All of them as one. Tensors are written into a block that is used again once nobody else has
  /// it.
  Outcomes<Out> joined() {
    std::sort(pieces_.begin(), pieces_.end(),
              [](const Piece& a, const Piece& b) { return a.first < b.first; });
    Casualties casualties;
    for (Piece& piece : pieces_) {
      append_piece(piece.outcomes, piece.first, rows_, casualties);
    }
    return Outcomes<Out>(joined_rows(), std::move(casualties));
  }

  /// Lets go of what was added, but not of its memory.
  void clear() {
    pieces_.clear();
    rows_.clear();
  }

 private:
  struct Piece {
    RowIndex first;
    Outcomes<Out> outcomes;
  };

  Rows<Out> joined_rows() {
    if constexpr (std::same_as<Out, Tensor>) {
      std::size_t count = 0;
      for (const Rows<Out>& rows : rows_) count += rows.size();
      const auto kind = RowKind<Out>::of(rows_.front());
      const bool alike = std::all_of(rows_.begin(), rows_.end(), [&](const Rows<Out>& rows) {
        return RowKind<Out>::of(rows) == kind;
      });
      if (alike && !kind.mixed && kind.device.is_cpu()) {
        gathered_.clear();  // and keeps its slab if the last answer is gone
        gathered_.begin(kind, count);
        for (Rows<Out>& rows : rows_) gathered_.add(rows, 0, rows.size());
        return *gathered_.batch().whole();
      }
    }
    return Rows<Out>::concatenate(rows_);
  }

  struct Nothing {};

  std::vector<Piece> pieces_;
  std::vector<Rows<Out>> rows_;
  [[no_unique_address]] std::conditional_t<std::same_as<Out, Tensor>, Gathered<Out>, Nothing>
      gathered_;
};

/// Outcomes on their way to who is owed them: to be given with no lock held.
template <class Out>
struct Answer {
  BatchCompletion<Out> done;
  Outcomes<Out> outcomes = {};
  std::unique_ptr<Pieces<Out>> pieces = nullptr;  // instead, of a request that was split

  /// Gives them. What is left of the pieces is for another request.
  std::unique_ptr<Pieces<Out>> give(Guard guard) && {
    if (pieces != nullptr) {
      const Result<void> put_together = guard([&] { outcomes = pieces->joined(); });
      pieces->clear();
      if (!put_together.has_value()) {
        done.fail(put_together.error());
        return std::move(pieces);
      }
    }
    done(std::move(outcomes));
    return std::move(pieces);
  }
};

}  // namespace galley::inline v1::detail
