using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace LlamaServe.Engine.KvCache;

/// <summary>Identity of a block's content and of all that precedes it in its sequence.</summary>
internal readonly record struct BlockHash(ulong Low, ulong High);

/// <summary>
/// Chains blocks into hashes: hash(parent hash, the block's token ids). SipHash-2-4 with 128 bits of output (Aumasson and
/// Bernstein, 2012), a pseudo-random function under a key drawn anew by each process, so that nobody outside can look for
/// two prompts that collide.
/// </summary>
internal sealed class BlockHasher
{
    private readonly ulong _key0;
    private readonly ulong _key1;

    /// <summary>Draws a key.</summary>
    public BlockHasher()
        : this(RandomNumberGenerator.GetBytes(16))
    {
    }

    /// <param name="key">[16] bytes.</param>
    public BlockHasher(ReadOnlySpan<byte> key)
    {
        _key0 = BinaryPrimitives.ReadUInt64LittleEndian(key);
        _key1 = BinaryPrimitives.ReadUInt64LittleEndian(key[8..]);
    }

    /// <summary>Start of the chain: what may share blocks at all.</summary>
    public BlockHash Root(string tenant, string salt)
    {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        string text = $"{tenant.Length}:{tenant}{salt}";
        return Hash(default, MemoryMarshal.AsBytes(text.AsSpan()));
    }

    /// <summary>Hash of a full block that follows <paramref name="parent"/>.</summary>
    public BlockHash Next(BlockHash parent, ReadOnlySpan<int> tokens) => Hash(parent, MemoryMarshal.AsBytes(tokens));

    /// <summary>SipHash-2-4-128 of the parent's 16 bytes followed by <paramref name="data"/>.</summary>
    public BlockHash Hash(BlockHash parent, ReadOnlySpan<byte> data)
    {
        var state = new State(_key0, _key1);
        state.Absorb(parent.Low);
        state.Absorb(parent.High);
        return Finish(ref state, data, 16 + data.Length);
    }

    /// <summary>SipHash-2-4-128 of <paramref name="data"/> alone, as in the paper's test vectors.</summary>
    public BlockHash Hash(ReadOnlySpan<byte> data)
    {
        var state = new State(_key0, _key1);
        return Finish(ref state, data, data.Length);
    }

    private static BlockHash Finish(ref State state, ReadOnlySpan<byte> data, int length)
    {
        while (data.Length >= 8)
        {
            state.Absorb(BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[8..];
        }
        ulong last = (ulong)length << 56;
        for (int i = 0; i < data.Length; i++)
        {
            last |= (ulong)data[i] << (8 * i);
        }
        state.Absorb(last);
        return state.Squeeze();
    }

    private struct State(ulong key0, ulong key1)
    {
        private ulong _v0 = key0 ^ 0x736f6d6570736575;
        private ulong _v1 = key1 ^ 0x646f72616e646f6d ^ 0xee;
        private ulong _v2 = key0 ^ 0x6c7967656e657261;
        private ulong _v3 = key1 ^ 0x7465646279746573;

        public void Absorb(ulong word)
        {
            _v3 ^= word;
            Round();
            Round();
            _v0 ^= word;
        }

        public BlockHash Squeeze()
        {
            _v2 ^= 0xee;
            FourRounds();
            ulong low = _v0 ^ _v1 ^ _v2 ^ _v3;
            _v1 ^= 0xdd;
            FourRounds();
            return new BlockHash(low, _v0 ^ _v1 ^ _v2 ^ _v3);
        }

        private void FourRounds()
        {
            Round();
            Round();
            Round();
            Round();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Round()
        {
            _v0 += _v1;
            _v2 += _v3;
            _v1 = BitOperations.RotateLeft(_v1, 13) ^ _v0;
            _v3 = BitOperations.RotateLeft(_v3, 16) ^ _v2;
            _v0 = BitOperations.RotateLeft(_v0, 32);
            _v2 += _v1;
            _v0 += _v3;
            _v1 = BitOperations.RotateLeft(_v1, 17) ^ _v2;
            _v3 = BitOperations.RotateLeft(_v3, 21) ^ _v0;
            _v2 = BitOperations.RotateLeft(_v2, 32);
        }
    }
}
