// The door to the learn layer: Eigen views of tensors.
#pragma once

#include <galley/learn/eigen.hpp>
