// Files compiled with and without exceptions in one program.
#include <core/mixed_exceptions/shared.hpp>

int main() {
  return failures_without_exceptions() + failures_with_exceptions() == 0 ? 0 : 1;
}
