using System.Runtime.InteropServices;
using System.Text;
using LlamaServe.Models.Weights;
using LlamaServe.Testing;

namespace LlamaServe.Models.Tests.Weights;

/// <summary>Writing files for a test and reading tensors back.</summary>
internal static class CheckpointFiles
{
    /// <returns>The file's path.</returns>
    public static string Write(this TemporaryFolder folder, string name, byte[] bytes)
    {
        File.WriteAllBytes(folder.File(name), bytes);
        return folder.File(name);
    }

    public static string Write(this TemporaryFolder folder, string name, string text) => folder.Write(name, Encoding.UTF8.GetBytes(text));

    public static byte[] BytesOf(TensorSource tensor)
    {
        byte[] bytes = new byte[tensor.ByteLength];
        Marshal.Copy(tensor.Address, bytes, 0, bytes.Length);
        return bytes;
    }

    public static byte[] RandomBytes(Random random, int length)
    {
        byte[] bytes = new byte[length];
        random.NextBytes(bytes);
        return bytes;
    }
}
