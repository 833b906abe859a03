"""Mutation check of the contracts: is there a test for each thing that a contract does?"""
