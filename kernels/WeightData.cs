namespace LlamaServe.Kernels;

/// <summary>
/// A weight matrix as the checkpoint stores it: row-major [<paramref name="Rows"/>, <paramref name="Columns"/>] at
/// <paramref name="Address"/>, <c>Format.Bytes(Rows · Columns)</c> bytes long. Vectors have one row.
/// The memory (normally a mapped file) must stay valid until the backend's load call returns; backends copy.
/// </summary>
/// <param name="Name">The checkpoint's name of the tensor, for error messages.</param>
public readonly record struct WeightData(string Name, WeightFormat Format, int Rows, int Columns, nint Address);
