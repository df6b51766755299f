/* SPDX-License-Identifier: Apache-2.0 */
#include "director_abi.h"
