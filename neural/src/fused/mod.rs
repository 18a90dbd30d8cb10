//! Operations with gradients of their own, where burn would compose many.
