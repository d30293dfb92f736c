// What the two files of this program have in common: the types that galley's templates are made
// for.
//
// One file is compiled with exceptions, the other with -fno-exceptions -fno-rtti, and the linker
// keeps one of equal templates. Whichever it keeps, what the first file throws must become an
// error.
#pragma once

#include <galley/core/executor.hpp>
#include <galley/core/result.hpp>
#include <galley/core/servable.hpp>

/// A row whose copy constructor is in the file with exceptions: it throws for 13.
struct Fragile {
  explicit Fragile(int of) : value(of) {}
  Fragile(const Fragile& other);
  Fragile(Fragile&&) noexcept = default;
  Fragile& operator=(Fragile&&) noexcept = default;
  int value;
};

int failures_with_exceptions();
int failures_without_exceptions();

/// A model of each file, one more than the number: of the first it throws for 13. And a batcher of
/// each, in which the rows of all requests queue.
galley::Servable<int, int> model_with_exceptions();
galley::Servable<int, int> model_without_exceptions();
galley::Servable<int, int> batched_with_exceptions(const galley::Executor& executor,
                                                   galley::Servable<int, int> model);
galley::Servable<int, int> batched_without_exceptions(const galley::Executor& executor,
                                                      galley::Servable<int, int> model);
